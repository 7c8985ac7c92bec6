package blocks

import (
	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/internal/planted"
)

// mask drops what is masked in the input from the samples that were read of it, those from index start on.
func (m *Merger) mask(in mergeSource, ls labels.Labels, start int) {
	if masks := m.masksOf(in.rank()); len(masks) > 0 && !planted.On(planted.MaskAfterMerge) {
		dropHidden(&m.columns, start, masks.Hidden(ls, in.meta().Range()))
	}
}

func (m *Merger) masksOf(input int) Masks {
	if input >= len(m.opts.Masks) {
		return nil
	}
	return m.opts.Masks[input]
}

// maskMerged is a planted bug: what is masked in any input is dropped from what all of them say together.
func (m *Merger) maskMerged(ls labels.Labels) {
	for i, in := range m.inputs {
		dropHidden(&m.columns, 0, m.masksOf(i).Hidden(ls, in.meta().Day.Range()))
	}
}
