package catalog

import (
	"fmt"
	"slices"

	"github.com/varvedb/varve/model"
)

// Quarantine keeps merges away from live blocks. They are still read.
type Quarantine struct {
	IDs    []string
	Reason string
	// Job is the job that failed because of them: its claim ends. "" is none.
	Job string
}

// String names the operation in errors.
func (q Quarantine) String() string { return fmt.Sprintf("quarantine %d blocks", len(q.IDs)) }

func (q Quarantine) applied(p *Partition) (Outcome, bool) {
	return Already, !slices.ContainsFunc(q.IDs, func(id string) bool { return !p.isQuarantined(id) })
}

// QuarantineOf returns since when and why a block is quarantined, nil if it is not.
func (p *Partition) QuarantineOf(id string) *Quarantined {
	if i := slices.IndexFunc(p.Quarantined, func(q Quarantined) bool { return q.ID == id }); i >= 0 {
		return &p.Quarantined[i]
	}
	return nil
}

func (p *Partition) isQuarantined(id string) bool { return p.QuarantineOf(id) != nil }

func (q Quarantine) apply(p *Partition, nowMs int64) error {
	for _, id := range q.IDs {
		if !p.IsLive(id) {
			return fmt.Errorf("block %s is not live: %w", id, model.ErrConflict)
		}
		if !p.isQuarantined(id) {
			p.Quarantined = append(p.Quarantined, Quarantined{ID: id, AtMs: nowMs, Reason: q.Reason})
		}
	}
	p.endClaim(q.Job)
	return nil
}

// Readmit ends the quarantine of live blocks: whoever commits it has read all of them.
type Readmit struct{ IDs []string }

// String names the operation in errors.
func (r Readmit) String() string { return fmt.Sprintf("readmit %d blocks", len(r.IDs)) }

func (r Readmit) applied(p *Partition) (Outcome, bool) {
	return Already, !slices.ContainsFunc(r.IDs, p.isQuarantined)
}

func (r Readmit) apply(p *Partition, _ int64) error {
	for _, id := range r.IDs {
		if !p.IsLive(id) {
			return fmt.Errorf("block %s is not live: %w", id, model.ErrConflict)
		}
	}
	p.Quarantined = slices.DeleteFunc(p.Quarantined, func(q Quarantined) bool { return slices.Contains(r.IDs, q.ID) })
	return nil
}
