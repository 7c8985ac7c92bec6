package blocks

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/varvedb/varve/model"
)

// Source is a stretch of generations of a writer, From to To inclusive.
type Source struct {
	Writer   string
	From, To uint64
}

// SourcesOf are the generations of writers whose samples the block holds: its own, or those of what it was merged from.
func SourcesOf(m *Meta) []Source {
	if m.Writer != "" {
		return []Source{{m.Writer, m.Generation, m.Generation}}
	}
	return m.Sources
}

// mergeSources joins the sources of the inputs.
func mergeSources(inputs []*Meta) []Source {
	var all []Source
	for _, m := range inputs {
		all = append(all, SourcesOf(m)...)
	}
	return JoinSources(all)
}

// JoinSources returns the same generations as few stretches as it takes, sorted. It uses all for that.
func JoinSources(all []Source) []Source {
	slices.SortFunc(all, func(a, b Source) int {
		return cmp.Or(cmp.Compare(a.Writer, b.Writer), cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
	})
	out := all[:0]
	for _, s := range all {
		if n := len(out); n > 0 && out[n-1].Writer == s.Writer && (s.From <= out[n-1].To || s.From == out[n-1].To+1) {
			out[n-1].To = max(out[n-1].To, s.To)
			continue
		}
		out = append(out, s)
	}
	return out
}

// appendSources appends: list of string writer, uvarint from, uvarint to − from.
func appendSources(b []byte, sources []Source) []byte {
	b = binary.AppendUvarint(b, uint64(len(sources)))
	for _, s := range sources {
		b = appendString(b, s.Writer)
		b = binary.AppendUvarint(b, s.From)
		b = binary.AppendUvarint(b, s.To-s.From)
	}
	return b
}

func (d *metaReader) sources() []Source {
	var out []Source
	for range d.count() {
		s := Source{Writer: d.string(), From: d.uvarint()}
		n := d.uvarint()
		if n > math.MaxUint64-s.From {
			d.fail()
			return nil
		}
		s.To = s.From + n
		out = append(out, s)
	}
	return out
}

func (m *Meta) checkSources() error {
	for _, s := range m.Sources {
		if s.From > s.To || s.Writer == "" {
			return fmt.Errorf("block meta of %.64q: generations %d to %d of writer %.64q: %w", m.ID, s.From, s.To, s.Writer, model.ErrCorrupt)
		}
	}
	return nil
}
