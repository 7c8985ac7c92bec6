package query

import (
	"context"
	"hash/maphash"
	"maps"
	"math"
	"slices"
	"sync"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// standing says what an answer over a range was made of: what lay in the bucket, and up to which moment writers had been heard.
type standing struct {
	// mark is a hash of the blocks that overlap the range, and of the tombstones that hide samples of them.
	mark uint64
	// moments are those of the writers (model.Watched).
	moments map[string]uint64
}

// witness is what the queriers of one range query share: the first view that one of them reads is that of all, and the newest is seen by whoever
// compares standings. So to know what there is costs no request that the query would not make. Safe for concurrent use.
type witness struct {
	tenant string
	seed   maphash.Seed

	mu            sync.Mutex // guards what follows
	first, latest *view
	// sources and moments are of the writers, taken after the first view and before anything is asked of them: what they hold beyond the moments an
	// evaluation may see or not, and it counts as new.
	sources []model.Watched
	moments map[string]uint64
	// deaf: there is a writer that cannot tell what is new to it, or has to be asked by way of its log.
	deaf bool
}

type witnessKey struct{}

func withWitness(ctx context.Context, w *witness) context.Context {
	return context.WithValue(ctx, witnessKey{}, w)
}

func witnessOf(ctx context.Context) *witness {
	w, _ := ctx.Value(witnessKey{}).(*witness)
	return w
}

// offer returns the first view if there is one.
func (w *witness) offer() *view {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.first
}

// saw tells of a first view.
func (w *witness) saw(q *Queryable, v *view) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.first != nil {
		return
	}
	w.first = v
	if v.snapshot != nil {
		w.latest = v // nothing of it changes
		return
	}
	w.listen(q, v)
}

// listen notes the moments of all writers. The caller holds mu.
func (w *witness) listen(q *Queryable, v *view) {
	sources, unreachable := q.c.Sources(v.roster)
	w.deaf = len(unreachable) > 0
	w.moments = map[string]uint64{}
	for _, s := range sources {
		watched, ok := s.(model.Watched)
		if !ok {
			w.deaf = true
			return
		}
		now, _, _ := watched.Since(w.tenant, 0)
		w.sources, w.moments[watched.Writer()] = append(w.sources, watched), now
	}
}

// confirmed tells of a view that was read after the sources were asked.
func (w *witness) confirmed(v *view) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.latest = v
}

// present is what standings are compared with: a confirmed view.
type present struct {
	*witness
	view *view
}

// present is nil if there is a writer that cannot tell what is new, or nothing was confirmed.
func (w *witness) present() *present {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.deaf || w.latest == nil {
		return nil
	}
	for i := range w.latest.roster.Writers {
		x := &w.latest.roster.Writers[i]
		if _, heard := w.moments[x.ID]; x.State == catalog.Active && !heard && w.latest.snapshot == nil {
			return nil
		}
	}
	return &present{w, w.latest}
}

// rolled reports whether windows of rollups may be read, or may have been since, of which a few beside the range have a say, so that its steps are not independent.
func (w *witness) rolled(asked Resolution) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	windows := func(p *catalog.Partition) bool {
		return len(p.Rollups) > 0 && (p.Thinned && asked != ResolutionRaw || asked != ResolutionDefault && asked != ResolutionRaw)
	}
	return slices.ContainsFunc(w.first.Partitions, windows) || w.latest != nil && slices.ContainsFunc(w.latest.Partitions, windows)
}

// look reads the first view.
func (q *querier) look(ctx context.Context) error {
	ctx, end, err := q.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	_, err = q.firstView(ctx)
	return err
}

// reconfirm confirms the first view, for an answer that asks nothing else.
func (q *querier) reconfirm(ctx context.Context) error {
	ctx, end, err := q.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	v, err := q.firstView(ctx)
	if err == nil && v.snapshot == nil {
		_, err = q.confirm(blob.AfterStage(ctx, v.stage), nil)
	}
	return err
}

// standing is that of an answer over the range which was begun after the first view.
func (w *witness) standing(r model.TimeRange) standing {
	w.mu.Lock()
	defer w.mu.Unlock()
	return standing{mark: w.mark(w.first, r), moments: w.moments}
}

// holds reports whether what lies in the bucket for the range is what it was. and from which timestamp on writers have something new, math.MaxInt64 for nothing.
func (p *present) holds(s *standing, r model.TimeRange) (newMs int64, ok bool) {
	if s.mark != p.mark(p.view, r) || !maps.EqualFunc(s.moments, p.moments, func(_, _ uint64) bool { return true }) {
		return 0, false
	}
	newMs = math.MaxInt64
	for _, w := range p.sources {
		_, least, ok := w.Since(p.tenant, s.moments[w.Writer()])
		if !ok {
			return 0, false
		}
		newMs = min(newMs, least)
	}
	return newMs, true
}

// mark hashes what lies in the bucket for the range.
func (w *witness) mark(v *view, r model.TimeRange) uint64 {
	var h maphash.Hash
	h.SetSeed(w.seed)
	for _, p := range v.Partitions {
		for i := range p.Blocks {
			e := &p.Blocks[i]
			if !e.Range().Overlaps(r) {
				continue
			}
			h.WriteString(e.ID)
			maphash.WriteComparable(&h, [...]uint64{e.Order, number(p.GravestoneMs != 0)})
			for _, t := range p.Masks(e) {
				h.WriteString(t.ID)
				h.WriteByte('\n')
			}
		}
	}
	return h.Sum64()
}

func number(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}
