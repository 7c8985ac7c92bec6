package repair

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// Rebuilt is what a Rebuild did, or would do.
type Rebuilt struct {
	DryRun bool `json:"dry_run"`
	// Healthy catalogs were left alone.
	Healthy int `json:"healthy"`
	// Days are the catalogs that were made anew.
	Days []RebuiltDay `json:"days"`
	// Roots are tenants whose root was made anew, or got days.
	Roots []RebuiltRoot `json:"roots"`
	// Roster are the writers of a roster that was made anew.
	Roster []string `json:"roster"`
	// Problems are what could not be mended.
	Problems []string `json:"problems"`
}

// RebuiltDay is one catalog.
type RebuiltDay struct {
	Tenant string `json:"tenant"`
	Day    string `json:"day"`
	// Why it was made anew.
	Why     string            `json:"why"`
	Blocks  int               `json:"blocks"`
	Rollups int               `json:"rollups"`
	Samples int64             `json:"samples"`
	Flushed map[string]uint64 `json:"flushed"`
	// Tombstones are the deletions that are masked again.
	Tombstones []string `json:"tombstones,omitempty"`
	// LeftOut are blocks that others make superfluous, by id, and why; Damaged those whose footer cannot be read.
	LeftOut map[string]string `json:"left_out,omitempty"`
	Damaged []string          `json:"damaged,omitempty"`
	// Copy is where the bytes of the former catalog are.
	Copy string `json:"copy,omitempty"`
}

// RebuiltRoot is one root.
type RebuiltRoot struct {
	Tenant string   `json:"tenant"`
	Days   []string `json:"days"`
	Copy   string   `json:"copy,omitempty"`
}

// rebuilder is one Rebuild under way.
type rebuilder struct {
	c      Components
	o      Options
	r      Rebuilt
	roster *catalog.Roster // nil if it cannot be read or is missing
	// highest is the highest generation of each writer that is in a catalog.
	highest map[string]uint64
}

// Rebuild makes catalogs that are damaged or missing anew from the blocks of their days, enters days in roots that lack them, and makes
// a damaged or missing root or roster anew. A catalog that can be read is left alone, unless Options.Force is set, which takes a tenant. Nothing
// else should write meanwhile, or it may win, in which case the report has a problem and a second run finds less to do.
func Rebuild(ctx context.Context, c Components, opts *Options) (*Rebuilt, error) {
	b := &rebuilder{c: c, o: opts.withDefaults(), highest: map[string]uint64{}}
	b.r = Rebuilt{DryRun: b.o.DryRun, Days: []RebuiltDay{}, Roots: []RebuiltRoot{}, Roster: []string{}, Problems: []string{}}
	if b.o.Force && b.o.Tenant == "" {
		return &b.r, fmt.Errorf("rebuild: healthy catalogs are replaced of a named tenant only: %w", model.ErrInvalid)
	}
	if err := b.run(ctx); err != nil {
		return &b.r, fmt.Errorf("rebuild: %w", err)
	}
	return &b.r, nil
}

func (b *rebuilder) problem(format string, args ...any) {
	b.r.Problems = append(b.r.Problems, fmt.Errorf(format, args...).Error())
}

func (b *rebuilder) run(ctx context.Context) error {
	roster, rosterErr := b.c.Catalog.Roster(ctx, nil)
	switch {
	case rosterErr == nil && !roster.Missing:
		b.roster = roster
	case rosterErr != nil && !errors.Is(rosterErr, model.ErrCorrupt):
		return rosterErr // of a later version, or out of reach: watermarks would be lower than they must be
	}
	days, err := listPartitions(ctx, &b.c, &b.o)
	if err != nil {
		return err
	}
	for _, tenant := range slices.Sorted(maps.Keys(days)) {
		if err := b.tenant(ctx, tenant, days[tenant]); err != nil {
			return err
		}
	}
	if b.roster == nil && b.o.Tenant == "" && b.o.Day == nil {
		return b.rebuildRoster(ctx, rosterErr)
	}
	return nil
}

func (b *rebuilder) tenant(ctx context.Context, tenant string, days map[model.Day]found) error {
	root, rootErr := b.c.Catalog.Root(ctx, tenant, nil)
	switch {
	case rootErr != nil && !errors.Is(rootErr, model.ErrCorrupt):
		b.problem("%w", rootErr)
		return nil
	case rootErr == nil && root.GravestoneMs != 0:
		return nil
	case rootErr == nil:
		for _, day := range root.Days {
			if _, ok := days[day]; !ok && (b.o.Day == nil || day == *b.o.Day) {
				days[day] = found{}
			}
		}
	}
	deletions, err := b.deletions(ctx, tenant)
	if err != nil {
		return err
	}
	all := slices.Sorted(maps.Keys(days))
	deleted := false
	for i, day := range all {
		gravestone, err := b.day(ctx, partition{tenant, day}, deletions)
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			b.problem("%s/%s: %w", tenant, day.Dashed(), err)
		}
		deleted = deleted || gravestone
		if b.o.Progress != nil {
			b.o.Progress(i+1, len(all))
		}
	}
	if deleted {
		b.problem("tenant %s was deleted, so its root is not made anew: delete it again", tenant)
		return nil
	}
	return b.root(ctx, tenant, root, rootErr, all)
}

// root enters the days, after their catalogs are there: until then queries without a range miss them, which they did before.
func (b *rebuilder) root(ctx context.Context, tenant string, root *catalog.Root, damage error, days []model.Day) error {
	out := RebuiltRoot{Tenant: tenant, Days: []string{}}
	var missing []model.Day
	for _, day := range days {
		if damage != nil || !root.Has(day) {
			missing = append(missing, day)
			out.Days = append(out.Days, day.Dashed())
		}
	}
	switch {
	case len(missing) == 0 && damage == nil:
		return nil
	case b.o.DryRun:
	case damage != nil && b.o.Day != nil:
		b.problem("the root of tenant %s is damaged: run this without --day", tenant)
		return nil
	case damage != nil:
		key := "t/" + tenant + "/root"
		copied, version, err := b.keep(ctx, key)
		if err != nil {
			return err
		}
		out.Copy = copied
		b.problem("the root of tenant %s is made anew without its settings and snapshots, which are stored nowhere else", tenant)
		if err := b.c.Catalog.PutRebuiltRoot(ctx, &catalog.Root{Tenant: tenant, Days: missing}, version); err != nil {
			return err
		}
	default:
		for _, day := range missing {
			if err := b.c.Catalog.EnterDay(ctx, tenant, day); err != nil {
				return err
			}
		}
	}
	b.r.Roots = append(b.r.Roots, out)
	return nil
}

// keep copies the object beside itself and returns the copy's key and the version that was copied; both are "" if there is none.
func (b *rebuilder) keep(ctx context.Context, key string) (copied string, version blob.Version, err error) {
	data, version, err := b.c.Bucket.Get(ctx, key)
	if errors.Is(err, model.ErrNotFound) {
		return "", "", nil
	}
	if err != nil {
		return "", "", err
	}
	copied = fmt.Sprintf("%s.old-%d", key, b.c.NowMs())
	if _, err := b.c.Bucket.PutIfAbsent(ctx, copied, data); err != nil {
		return "", "", fmt.Errorf("keep a copy of %s: %w", key, err)
	}
	return copied, version, nil
}

// deletions are those of the tenant. One that cannot be read hides nothing: the report says so.
func (b *rebuilder) deletions(ctx context.Context, tenant string) (out []*catalog.Deletion, err error) {
	for o, err := range b.c.Bucket.List(ctx, catalog.DeletionPrefix(tenant)) {
		if err != nil {
			return nil, err
		}
		out = append(out, &catalog.Deletion{ID: strings.TrimPrefix(o.Key, catalog.DeletionPrefix(tenant))})
	}
	read := out[:0]
	for _, d := range out {
		full, err := b.c.Catalog.Deletion(ctx, tenant, d.ID)
		if err != nil {
			b.problem("what it deleted may come to light again: %w", err)
			continue
		}
		read = append(read, full)
	}
	return read, ctx.Err()
}

// day makes the catalog of one day anew, if that is needed.
func (b *rebuilder) day(ctx context.Context, at partition, deletions []*catalog.Deletion) (gravestone bool, err error) {
	old, err := b.c.Catalog.Partition(ctx, at.tenant, at.day, nil)
	out := RebuiltDay{Tenant: at.tenant, Day: at.day.Dashed()}
	switch {
	case err != nil && !errors.Is(err, model.ErrCorrupt):
		return false, err
	case err != nil:
		out.Why, old = err.Error(), nil
	case old.GravestoneMs != 0:
		return true, nil
	case old.Missing:
		out.Why = "it is missing"
	case b.o.Force:
		out.Why = "forced"
	default:
		b.r.Healthy++
		b.remember(old)
		return false, nil
	}
	metas, damaged, err := b.footers(ctx, at, old)
	if err != nil {
		return false, err
	}
	raw, rollups := splitRollups(metas)
	chosen, left, err := choose(ctx, b.c.reader(), raw, b.o.ReadBytes)
	if err != nil {
		return false, err
	}
	rolled, more := chooseRollups(chosen, rollups)
	left = append(left, more...)
	p := assemble(at, chosen, rolled, metas, deletions, b.roster, b.c.NowMs())
	if old != nil {
		p.Generation = max(p.Generation, old.Generation)
		p.Dropped = old.Dropped
	}
	b.remember(p)
	out.Damaged, out.Flushed, out.Blocks, out.Rollups = damaged, p.Flushed, len(p.Blocks), len(p.Rollups)
	for _, e := range p.Blocks {
		out.Samples += e.Samples
	}
	for _, l := range left {
		if out.LeftOut == nil {
			out.LeftOut = map[string]string{}
		}
		out.LeftOut[l.meta.ID] = l.why
	}
	for _, t := range p.Tombstones {
		out.Tombstones = append(out.Tombstones, t.ID)
	}
	if !b.o.DryRun {
		if out.Copy, err = b.put(ctx, p, old); err != nil {
			return false, err
		}
	}
	b.r.Days = append(b.r.Days, out)
	return false, nil
}

// put writes the catalog in place of what was read, of which it keeps a copy.
func (b *rebuilder) put(ctx context.Context, p, old *catalog.Partition) (copied string, err error) {
	copied, version, err := b.keep(ctx, catalogKey(p.Tenant, p.Day))
	if err != nil {
		return "", err
	}
	if old != nil && old.Version != version {
		return "", fmt.Errorf("the catalog was changed meanwhile: run this again: %w", model.ErrConflict)
	}
	return copied, b.c.Catalog.PutRebuiltPartition(ctx, p, version)
}

func (b *rebuilder) remember(p *catalog.Partition) {
	for writer, g := range p.Flushed {
		b.highest[writer] = max(b.highest[writer], g)
	}
	for _, e := range p.All() {
		for _, s := range blocks.SourcesOf(e.Meta) {
			b.highest[s.Writer] = max(b.highest[s.Writer], s.To)
		}
	}
}

// footers reads those of all blocks of a day but the dropped ones. Damaged ones are named with what is wrong.
func (b *rebuilder) footers(ctx context.Context, at partition, old *catalog.Partition) (metas []*blocks.Meta, damaged []string, err error) {
	objects, _, err := listStored(ctx, &b.c, at)
	if err != nil {
		return nil, nil, err
	}
	keys := slices.Sorted(maps.Keys(objects))
	read, faults := make([]*blocks.Meta, len(keys)), make([]error, len(keys))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(4 * b.o.Parallel)
	for i, key := range keys {
		o := objects[key]
		if old != nil && old.IsDropped(o.id) {
			continue
		}
		g.Go(func() error {
			read[i], faults[i] = blocks.Open(gctx, b.c.reader(), key, o.size)
			if errors.Is(faults[i], model.ErrUnavailable) || gctx.Err() != nil {
				return faults[i] // not a word about the block
			}
			if m := read[i]; faults[i] == nil && blocks.Key(m) != key {
				read[i], faults[i] = nil, fmt.Errorf("it is block %s of %s/%s: %w", m.ID, m.Tenant, m.Day.Dashed(), model.ErrCorrupt)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, nil, err
	}
	for i := range keys {
		switch {
		case faults[i] != nil:
			damaged = append(damaged, fmt.Sprintf("%s: %v", keys[i], faults[i]))
		case read[i] != nil:
			metas = append(metas, read[i])
		}
	}
	return metas, damaged, nil
}
