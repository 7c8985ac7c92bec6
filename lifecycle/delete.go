package lifecycle

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"golang.org/x/sync/errgroup"

	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// Deleter deletes series: it has writers flush what they hold, and masks with a tombstone what is in the bucket then. Nothing is rewritten here; that is
// the work of a [Lifecycle]. Safe for concurrent use.
type Deleter struct {
	Catalog *catalog.Store
	// Flush has the active writers of the roster flush, and names those that cannot be reached. What they hold will not be deleted.
	Flush func(ctx context.Context, roster *catalog.Roster) (unreached []string)
	// Now is the clock [time.Now]; Rand gives ids [crypto/rand].
	Now  func() time.Time
	Rand io.Reader
	// Parallel is how many catalogs are changed at a time. Default 16.
	Parallel int
}

// DeleteRequest says what to delete: the samples within Range, both ends included, of every series that one of the selectors matches.
type DeleteRequest struct {
	Tenant    string
	Selectors [][]*labels.Matcher
	Range     model.TimeRange
	// ID makes a repeated request the same request; "" draws one. See Delete for what a repeat does.
	ID string
}

// NewDeleteRequest reads the selectors. The error wraps model.ErrInvalid.
func NewDeleteRequest(tenantName string, match []string, r model.TimeRange, id string) (*DeleteRequest, error) {
	req := &DeleteRequest{Tenant: tenantName, Range: r, ID: id}
	for _, text := range match {
		selector, err := catalog.ParseSelector(text)
		if err != nil {
			return nil, err
		}
		req.Selectors = append(req.Selectors, selector)
	}
	return req, nil
}

// Deleted is what became of a request.
type Deleted struct {
	ID string `json:"id"`
	// Days are those that had a catalog.
	Days int `json:"days"`
	// Unreached are active writers that did not flush: what matches in their logs is not deleted, and comes to light when they do. The same
	// request with the same id deletes it too when they are back, or were adopted.
	Unreached []string `json:"unreached"`
}

// Delete carries out the request. When it returns without an error, no query that begins afterwards sees what was acknowledged before by a writer that was reached. After
// an error some days may be masked and others not; the same request with the same id, which is returned in any case, does the rest within three days, and changes nothing
// where it was done already: what was written meanwhile to a day that is done stays.
//
// What writers held that were not reached, or that were adopted and went on under a new id, is deleted by the first repeat that reaches them, together with what they have taken in
// until then; what others have written since the first call stays. If merges have joined the two before, the error is a [catalog.MixedError].
func (d *Deleter) Delete(ctx context.Context, req *DeleteRequest) (Deleted, error) {
	out := Deleted{ID: req.ID, Unreached: []string{}}
	want, err := d.deletion(req)
	if err != nil {
		return out, fmt.Errorf("delete series: %w", err)
	}
	out.ID = want.ID
	roster, err := d.Catalog.Roster(ctx, nil)
	if err != nil {
		return out, fmt.Errorf("delete series %s: %w", out.ID, err)
	}
	want.Unreached = d.Flush(ctx, roster)
	slices.Sort(want.Unreached)
	want.Known = idsOf(roster)
	chain, again, err := d.record(ctx, want, req.ID != "")
	if err != nil {
		return out, fmt.Errorf("delete series %s: %w", out.ID, err)
	}
	out.Days = len(chain[0].Days)
	for _, have := range chain {
		if err = d.mask(ctx, have); err != nil {
			break
		}
		out.Unreached = append([]string{}, have.Unreached...)
	}
	if err == nil && again {
		out.Unreached, err = d.complete(ctx, chain, roster, want)
	}
	mixed, tooLate := errors.AsType[*catalog.MixedError](err)
	switch {
	case tooLate:
		return out, fmt.Errorf("delete series %s: %w", out.ID, mixed)
	case err != nil:
		return out, fmt.Errorf("delete series %s: %w; the same request with this id does the rest", out.ID, err)
	}
	return out, nil
}

func (d *Deleter) deletion(req *DeleteRequest) (*catalog.Deletion, error) {
	all := model.TimeRange{MinMs: model.MinTimeMs, MaxMs: model.MaxTimeMs}
	now := d.Now
	if now == nil {
		now = time.Now
	}
	want := &catalog.Deletion{
		Tenant: req.Tenant, ID: req.ID, CreatedMs: now().UnixMilli(), Range: req.Range.Intersect(all), Matchers: catalog.FormatSelectors(req.Selectors),
	}
	switch {
	case want.Range.Empty():
		return nil, fmt.Errorf("range from %d to %d is empty: %w", req.Range.MinMs, req.Range.MaxMs, model.ErrInvalid)
	case len(want.Matchers) > maxMatchers:
		return nil, fmt.Errorf("selectors of %d bytes, at most %d are kept in a catalog: %w", len(want.Matchers), maxMatchers, model.ErrInvalid)
	}
	if err := checkSelectors(req.Selectors); err != nil {
		return nil, err
	}
	if want.ID == "" {
		random, b := d.Rand, make([]byte, 8)
		if random == nil {
			random = rand.Reader
		}
		if _, err := io.ReadFull(random, b); err != nil {
			return nil, fmt.Errorf("read randomness: %w", err)
		}
		want.ID = hex.EncodeToString(b)
	}
	return want, nil
}

// checkSelectors refuses what is more likely a mistake than a wish: to delete everything. {__name__=~".+"} does that.
func checkSelectors(selectors [][]*labels.Matcher) error {
	if len(selectors) == 0 {
		return fmt.Errorf("no selector says which series: %w", model.ErrInvalid)
	}
	for _, s := range selectors {
		if !slices.ContainsFunc(s, func(m *labels.Matcher) bool { return !m.Matches("") }) {
			return fmt.Errorf("selector %s: at least one matcher must not match an empty label: %w", catalog.FormatSelectors([][]*labels.Matcher{s}), model.ErrInvalid)
		}
	}
	return nil
}

// maxMatchers bounds what one delete puts into each catalog.
const maxMatchers = 16 << 10

// record stores the deletion with the days and generations that it masks, or returns the one that an earlier call of the same id has stored, with its repeats.
func (d *Deleter) record(ctx context.Context, want *catalog.Deletion, mayExist bool) (chain []*catalog.Deletion, again bool, err error) {
	if mayExist {
		chain, err := d.Catalog.Deletions(ctx, want.Tenant, want.ID)
		if err == nil {
			return chain, true, sameRequest(chain[0], want)
		}
		if !errors.Is(err, model.ErrNotFound) {
			return nil, false, err
		}
	}
	err = d.vector(ctx, want, func(x *catalog.DeletionDay, p *catalog.Partition) error {
		x.Flushed = p.Flushed // nil for one that is about to be created: nothing in it is older than this call
		return nil
	})
	if err != nil {
		return nil, false, err
	}
	have, err := d.Catalog.CreateDeletion(ctx, want)
	if err == nil {
		err = sameRequest(have, want)
	}
	return []*catalog.Deletion{have}, false, err
}

// vector sets the days of the deletion: those within its range for which fn gives generations. fn is called by several goroutines.
func (d *Deleter) vector(ctx context.Context, want *catalog.Deletion, fn func(*catalog.DeletionDay, *catalog.Partition) error) error {
	root, err := d.Catalog.Root(ctx, want.Tenant, nil)
	if err != nil {
		return err
	}
	if root.GravestoneMs != 0 {
		return catalog.ErrGravestone
	}
	for _, day := range root.Days {
		if day.Range().Overlaps(want.Range) {
			want.Days = append(want.Days, catalog.DeletionDay{Day: day})
		}
	}
	err = d.each(ctx, want.Days, func(ctx context.Context, i int) error {
		p, err := d.Catalog.Partition(ctx, want.Tenant, want.Days[i].Day, nil)
		if err != nil {
			return err
		}
		return fn(&want.Days[i], p)
	})
	want.Days = slices.DeleteFunc(want.Days, func(x catalog.DeletionDay) bool { return x.Flushed == nil })
	return err
}

func sameRequest(have, want *catalog.Deletion) error {
	if !have.Same(want) {
		return fmt.Errorf("the id is that of another request, for %s: %w", have.Matchers, model.ErrConflict)
	}
	return nil
}

// mask commits the tombstone to every day.
func (d *Deleter) mask(ctx context.Context, have *catalog.Deletion) error {
	return d.each(ctx, have.Days, func(ctx context.Context, i int) error {
		var op catalog.Operation = catalog.AddTombstone(have.Tombstone())
		if have.Of != "" {
			op = catalog.AddRepeat{Tombstone: have.Tombstone(), Day: have.Days[i]}
		}
		_, err := d.Catalog.Commit(ctx, have.Tenant, have.Days[i].Day, op)
		return err
	})
}

func (d *Deleter) each(ctx context.Context, days []catalog.DeletionDay, do func(context.Context, int) error) error {
	return d.parallel(ctx, len(days), do)
}

// parallel calls do with each number below n, Parallel at a time.
func (d *Deleter) parallel(ctx context.Context, n int, do func(context.Context, int) error) error {
	if d.Parallel == 1 {
		for i := range n {
			if err := do(ctx, i); err != nil {
				return err
			}
		}
		return nil
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(cmp.Or(max(d.Parallel, 0), 16))
	for i := range n {
		g.Go(func() error { return do(ctx, i) })
	}
	return g.Wait()
}
