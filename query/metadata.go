package query

import (
	"context"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/model"
)

// Metadata returns what was said of a metric, or of all if it is "", within the closed range in milliseconds: of each metric what differs, the latest first. Senders
// say it again and again, and every generation keeps it once, so that a range of a few hours has it all.
func (q *Queryable) Metadata(ctx context.Context, metric string, startMs, endMs int64) (map[string][]model.Metadata, error) {
	found := map[string][]model.Metadata{}
	all := model.TimeRange{MinMs: startMs, MaxMs: endMs}
	err := q.rows(ctx, all, func(read readRows) error {
		return read(model.SelectMetadata(metric), func(ls labels.Labels, c *model.Columns) error {
			name, ok := model.MetadataOf(ls)
			if !ok {
				return nil
			}
			list, err := metadataOf(c)
			found[name] = list
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// metadataOf decodes the rows of a metric, the last first, and each once.
func metadataOf(c *model.Columns) (out []model.Metadata, err error) {
	for _, row := range slices.Backward(c.H) {
		m, err := model.DecodeMetadata(row)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(out, m) {
			out = append(out, m)
		}
	}
	return out, nil
}
