package query

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// modeObject is the durability mode whose shipped log holds everything acknowledged.
const modeObject = "object"

// maxPlans bounds how often one Select plans anew because blocks went away while it read.
const maxPlans = 4

// answer is what one source or block has to say: series, or names.
type answer struct {
	selection *model.Selection
	values    []string
	warnings  []string
	// rollupMs is the length of the windows that it is of, those of day; 0 for samples.
	rollupMs int64
	day      model.Day
}

func (a *answer) close() {
	if a != nil {
		a.selection.Close()
	}
}

// question is one Select or label call, put to sources and blocks alike.
type question struct {
	r       model.TimeRange
	purpose purpose
	asked   Resolution
	source  func(ctx context.Context, tenant string, s model.Source) (*answer, error)
	block   func(ctx context.Context, b liveBlock) (*answer, error)
}

// gathered is the outcome: answers, lowest priority first.
type gathered struct {
	answers  []*answer
	warnings []string
	infos    []error
	// windows: some answers are of rollups.
	windows bool
}

// gather asks everybody, in the order that the package comment argues for. The caller owns the answers and has got the ticket from
// expect; it is used up.
func (q *querier) gather(ctx context.Context, question *question, t *ticket) (g *gathered, err error) {
	defer t.drop()
	first, err := q.firstView(ctx)
	if err != nil {
		return nil, err
	}
	if question.r.Empty() {
		return &gathered{}, nil
	}
	ctx = blob.AfterStage(ctx, first.stage)
	reads := newReads(ctx, q.q.cfg.MaxParallelBlocks, question.block)
	defer reads.end()
	reads.start(first.stage, first.plan(question).blocks)

	asked, v, err := q.askAndConfirm(ctx, first, question, t)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			asked.close()
		}
	}()
	if err := asked.check(v.roster); err != nil {
		return nil, err
	}
	plan, err := q.readAll(ctx, reads, v, question)
	if err != nil {
		return nil, err
	}
	q.q.metrics.blocks.Add(float64(len(plan.blocks)))
	q.account.touched(plan)
	answers, damaged := reads.keep(plan.blocks)
	q.q.metrics.damaged.Add(float64(len(damaged)))
	g = &gathered{warnings: append(asked.warnings, damaged...)}
	g.windows, g.infos = plan.remarks(question, answers)
	g.answers = append(answers, asked.answers...)
	return g, nil
}

// askAndConfirm asks all writers and returns what they say with a view that was read after their sources had answered. Logs are
// read beside that view: what a log has to say does not depend on when it is read, as long as its segments are there.
func (q *querier) askAndConfirm(ctx context.Context, first *view, question *question, t *ticket) (*asked, *view, error) {
	asks, cancel := context.WithCancel(ctx)
	defer cancel()
	asking := q.askAll(asks, first, question)
	asking.sources.Wait()
	v, err := q.confirm(ctx, t)
	if err != nil {
		cancel()
	}
	asked, askErr := asking.wait()
	// Where both ran out of time it is the writer that should be named.
	if err == nil || ctx.Err() != nil && askErr != nil {
		err = askErr
	}
	if err != nil {
		asked.close()
		return nil, nil, err
	}
	return asked, v, nil
}

// readAll waits until every block of the view is read. Blocks that have gone mean that the view is stale: it is
// read again and the plan made anew. Returns the plan that is read in full.
func (q *querier) readAll(ctx context.Context, reads *reads, v *view, question *question) (*plan, error) {
	for n := 1; ; n++ {
		plan := v.plan(question)
		reads.start(v.stage, plan.blocks)
		gone, err := reads.wait(plan.blocks)
		if err != nil {
			return nil, err
		}
		if len(gone) == 0 {
			return plan, nil
		}
		q.q.metrics.replans.Inc()
		if v, err = q.confirm(blob.AfterStage(ctx, blob.LastStage(ctx)), nil); err != nil {
			return nil, err
		}
		if n > 1 {
			if err := lost(reads, v, question, gone); err != nil {
				return nil, err
			}
		}
		if n == maxPlans {
			return nil, fmt.Errorf("blocks went away %d times while they were read: %w", n, model.ErrUnavailable)
		}
		reads.forget(gone)
	}
}

// lost looks for blocks that are gone though a fresh catalog names them. They are an error, or left out.
func lost(reads *reads, v *view, question *question, gone map[string]error) error {
	for _, b := range v.plan(question).blocks {
		err := gone[b.key()]
		switch {
		case err == nil:
			continue
		case blob.IsDenied(err):
			err = fmt.Errorf("block %s is in the catalog, but it is missing or may not be read: %v: %w", blocks.Key(b.Meta), err, model.ErrCorrupt)
		default:
			err = fmt.Errorf("block %s is in the catalog but not in the bucket: %w", blocks.Key(b.Meta), model.ErrCorrupt)
		}
		if !reads.partial {
			return err
		}
		reads.lose(b.key(), err)
		delete(gone, b.key())
	}
	return nil
}

// asked are the answers of sources, lowest priority first, and the writers that gave none.
type asked struct {
	answers  []*answer
	warnings []string
	// silent are the writers that could not be asked, and why.
	silent []Unreachable
}

func (a *asked) close() {
	if a == nil {
		return
	}
	for _, answer := range a.answers {
		answer.close()
	}
}

// check fails if a writer that gave no answer still was active when the roster was read after all the others
// had answered. One that was not by then has left everything in the catalog, confirmed at the same time or later.
func (a *asked) check(roster *catalog.Roster) error {
	for _, u := range a.silent {
		if w := roster.Find(u.Writer); w != nil && w.State == catalog.Active {
			return fmt.Errorf("writer %s (address %q) cannot be asked for its recent samples: %w", w.ID, w.Address, unavailable(u.Err))
		}
	}
	return nil
}

// unavailable makes err one that wraps model.ErrUnavailable.
func unavailable(err error) error {
	switch {
	case err == nil:
		return model.ErrUnavailable
	case errors.Is(err, model.ErrUnavailable):
		return err
	}
	return fmt.Errorf("%w: %w", model.ErrUnavailable, err)
}

// asking are questions to writers that are under way.
type asking struct {
	ids     []string
	replies []reply
	sources sync.WaitGroup // until every source has answered or failed to
	all     sync.WaitGroup
}

// askAll puts the question to the sources of all writers, in parallel; where a log may stand in
// for a writer that cannot be asked, to its log.
func (q *querier) askAll(ctx context.Context, v *view, question *question) *asking {
	if v.snapshot != nil {
		return &asking{} // what writers hold came later
	}
	sources, unreachable := q.q.c.Sources(v.roster)
	why := make(map[string]error, len(unreachable))
	for _, u := range unreachable {
		why[u.Writer] = u.Err
	}
	byWriter := make(map[string]model.Source, len(sources))
	a := &asking{}
	for _, s := range sources {
		byWriter[s.Writer()] = s
		a.ids = append(a.ids, s.Writer())
	}
	for i := range v.roster.Writers {
		w := &v.roster.Writers[i]
		if byWriter[w.ID] == nil && w.State == catalog.Active {
			a.ids = append(a.ids, w.ID)
		}
	}
	slices.Sort(a.ids)
	a.ids = slices.Compact(a.ids)

	a.replies = make([]reply, len(a.ids))
	a.sources.Add(len(a.ids))
	for i, id := range a.ids {
		a.all.Go(func() {
			heard := sync.OnceFunc(a.sources.Done)
			defer heard()
			a.replies[i] = q.ask(ctx, v.tenant, v.roster.Find(id), byWriter[id], why[id], question, heard)
		})
	}
	return a
}

// wait returns the answers of all. They are the caller's, after an error too.
func (a *asking) wait() (*asked, error) {
	a.all.Wait()
	out := &asked{}
	var errs []error
	for i, r := range a.replies {
		switch {
		case r.err != nil:
			errs = append(errs, r.err)
		case r.silent != nil:
			out.silent = append(out.silent, Unreachable{a.ids[i], r.silent})
		default:
			out.answers = append(out.answers, r.answer)
			out.warnings = append(out.warnings, r.answer.warnings...)
		}
	}
	return out, errors.Join(errs...)
}

// reply is what came of asking one writer: an answer, an error of the whole query, or why it stays silent.
type reply struct {
	answer *answer
	silent error
	err    error
}

// ask puts the question to one writer: s is its source if there is one, else why says what stands
// in the way; w is its entry in the roster if it has one. heard is called when the source will not be asked any more.
func (q *querier) ask(ctx context.Context, tenant string, w *catalog.Writer, s model.Source, why error, question *question, heard func()) reply {
	if s != nil {
		a, err := question.source(ctx, tenant, s)
		if err == nil {
			return reply{answer: a}
		}
		if !errors.Is(err, model.ErrUnavailable) || ctx.Err() != nil || isMemory(err) {
			return reply{err: fmt.Errorf("ask writer %s: %w", s.Writer(), err)}
		}
		if w == nil || w.State != catalog.Active {
			// Nobody counts on it: either it is not rostered, so it acknowledged nothing yet, or all it had is in the catalog.
			return reply{answer: &answer{}}
		}
		why = err
	}
	heard()
	if why == nil {
		why = errors.New("no source for it")
	}
	whole := w.Mode == modeObject
	lenient := q.q.cfg.Detached || PartialResponse(ctx)
	if q.q.c.Logs == nil || !whole && !lenient {
		if lenient {
			return reply{answer: &answer{warnings: []string{fmt.Sprintf("writer %s cannot be asked and its log cannot be read; its recent samples are missing", w.ID)}}}
		}
		return reply{silent: why}
	}
	t := q.tail(w.ID, w.Released, whole)
	a, err := question.source(ctx, tenant, t)
	if err == nil && t.damage != nil && !lenient {
		a.close()
		err = t.damage
	}
	switch {
	case err != nil && (ctx.Err() != nil || isBudget(err)):
		return reply{err: err}
	case err != nil && !lenient:
		return reply{err: fmt.Errorf("writer %s cannot be asked (%w), nor can its log be read: %w", w.ID, why, unavailable(err))}
	case err != nil:
		return reply{answer: &answer{warnings: []string{fmt.Sprintf("writer %s cannot be asked and its log cannot be read (%s); its recent samples are missing", w.ID, oneLine(err))}}}
	case !whole || t.damage != nil:
		a.warnings = append(a.warnings, t.warning(w.Shipping))
	}
	return reply{answer: a}
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
