package varve

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/protocol/remotewrite"
)

// AppendMetadata makes durable what is said of metrics, by name. It is kept for as long as samples of now are, and said again it costs nothing until the next
// flush; so say it now and then.
func (db *DB) AppendMetadata(ctx context.Context, tenantName string, of map[string]model.Metadata) (model.AppendResult, error) {
	b := model.Batch{Labels: remotewrite.LabelDecoder{}}
	for name, m := range of {
		b.Metadata = append(b.Metadata, model.MetadataRow{
			Metric: []byte(name), Row: model.AppendMetadata(nil, model.MetadataTypeNumber(m.Type), m.Unit, m.Help),
		})
	}
	return db.Append(ctx, tenantName, &b)
}

// addExemplars adds the exemplars of a series, those of a millisecond in one row.
func addExemplars(b *model.Batch, key []byte, list []model.Exemplar) error {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b model.Exemplar) int { return cmp.Compare(a.T, b.T) })
	first := len(b.Exemplars)
	for i := range list {
		e := &list[i]
		chars := 0
		e.Labels.Range(func(l labels.Label) { chars += utf8.RuneCountInString(l.Name) + utf8.RuneCountInString(l.Value) })
		if chars > exemplar.ExemplarMaxLabelSetLength {
			return fmt.Errorf("labels of the exemplar at %d have %d characters, at most %d: %w", e.T, chars, exemplar.ExemplarMaxLabelSetLength, model.ErrInvalid)
		}
		n := len(b.Exemplars)
		if n == first || b.Exemplars[n-1].T != e.T {
			b.Exemplars = append(b.Exemplars, model.ExemplarRow{Key: key, T: e.T, Row: model.BeginExemplars(nil)})
			n++
		}
		row := &b.Exemplars[n-1]
		row.Row = model.AppendExemplar(row.Row, e.V, e.Labels.Len())
		e.Labels.Range(func(l labels.Label) { row.Row = model.AppendText(model.AppendText(row.Row, l.Name), l.Value) })
		row.Count++
	}
	return nil
}
