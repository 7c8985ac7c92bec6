package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/tenant"
)

// Catalog is what browsing needs of a *catalog.Store.
type Catalog interface {
	Root(ctx context.Context, tenant string, prev *catalog.Root) (*catalog.Root, error)
	Partition(ctx context.Context, tenant string, day model.Day, prev *catalog.Partition) (*catalog.Partition, error)
}

const (
	// browsedDays is how many days, the last ones, status/catalog shows at a time; each is a GET.
	browsedDays = 62
	// browsedAtOnce is how many of them are read in parallel.
	browsedAtOnce = 16
)

// browsed is a day of the answer.
type browsed struct {
	Day         string `json:"day"`
	Generation  uint64 `json:"generation"`
	Blocks      int    `json:"blocks"`
	Parquet     int    `json:"parquet"`
	Rollups     int    `json:"rollups"`
	Samples     int64  `json:"samples"`
	Bytes       int64  `json:"bytes"`
	RollupBytes int64  `json:"rollup_bytes"`
	Retired     int    `json:"retired"`
	Tombstones  int    `json:"tombstones"`
	Quarantined int    `json:"quarantined"`
}

// browsedBlock is a block of the answer.
type browsedBlock struct {
	ID         string `json:"id"`
	Key        string `json:"key"`
	Format     string `json:"format"`
	Order      uint64 `json:"order"`
	MinMs      int64  `json:"min_ms"`
	MaxMs      int64  `json:"max_ms"`
	Series     int64  `json:"series"`
	Samples    int64  `json:"samples"`
	Histograms int64  `json:"histograms"`
	Bytes      int64  `json:"bytes"`
	CreatedMs  int64  `json:"created_ms"`
	Writer     string `json:"writer,omitempty"`
	Generation uint64 `json:"generation,omitempty"`
	// Merged is how many blocks it was merged from.
	Merged int `json:"merged"`
	// Masked: a tombstone hides something of it.
	Masked bool `json:"masked"`
	// Quarantined is why merges leave it alone.
	Quarantined string `json:"quarantined,omitempty"`
}

// catalogStatus answers GET status/catalog: the tenant's last days, or with day=YYYY-MM-DD the blocks of one. Requests are a GET for each catalog.
func (h *handler) catalogStatus(w http.ResponseWriter, r *http.Request) {
	var data any
	var err error
	if text := r.Form.Get("day"); text != "" {
		data, err = h.browseDay(r.Context(), text)
	} else {
		data, err = h.browseDays(r.Context())
	}
	if err != nil {
		respondFailure(w, err)
		return
	}
	respondData(w, data)
}

func (h *handler) browseDays(ctx context.Context) (any, error) {
	name := tenant.FromContext(ctx)
	root, err := h.catalog.Root(ctx, name, nil)
	if err != nil {
		return nil, err
	}
	days := root.Days[max(0, len(root.Days)-browsedDays):]
	parts := make([]*catalog.Partition, len(days))
	g, reading := errgroup.WithContext(ctx)
	g.SetLimit(browsedAtOnce)
	for i, day := range days {
		g.Go(func() (err error) {
			parts[i], err = h.catalog.Partition(reading, name, day, nil)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	list := make([]browsed, 0, len(parts))
	for _, p := range parts {
		list = append(list, browse(p))
	}
	return map[string]any{"tenant": name, "days": list, "days_in_all": len(root.Days)}, nil
}

func (h *handler) browseDay(ctx context.Context, text string) (any, error) {
	t, err := time.Parse("2006-01-02", text)
	if err != nil {
		return nil, fmt.Errorf("invalid parameter %q: %.40q is no day such as 2006-01-02: %w", "day", text, model.ErrInvalid)
	}
	name := tenant.FromContext(ctx)
	p, err := h.catalog.Partition(ctx, name, model.DayOf(t.UnixMilli()), nil)
	if err != nil {
		return nil, err
	}
	list := []browsedBlock{}
	for _, e := range p.All() {
		list = append(list, browseBlock(p, &e))
	}
	return map[string]any{"tenant": name, "day": browse(p), "blocks": list}, nil
}

func browse(p *catalog.Partition) browsed {
	b := browsed{
		Day: p.Day.Dashed(), Generation: p.Generation, Blocks: len(p.Blocks), Rollups: len(p.Rollups),
		Retired: len(p.Retired), Tombstones: len(p.Tombstones), Quarantined: len(p.Quarantined),
	}
	for _, e := range p.Blocks {
		b.Samples, b.Bytes = b.Samples+e.Samples, b.Bytes+e.Size
		if e.Format == blocks.Parquet {
			b.Parquet++
		}
	}
	for _, e := range p.Rollups {
		b.RollupBytes += e.Size
	}
	return b
}

func browseBlock(p *catalog.Partition, e *catalog.Entry) browsedBlock {
	b := browsedBlock{
		ID: e.ID, Key: blocks.Key(e.Meta), Format: formatName(e.Format), Order: e.Order, MinMs: e.MinT, MaxMs: e.MaxT, Series: e.Series, Samples: e.Samples,
		Histograms: e.Histograms, Bytes: e.Size, CreatedMs: e.CreatedMs, Writer: e.Writer, Generation: e.Generation, Merged: len(e.Replaces), Masked: len(p.Masks(e)) > 0,
	}
	if q := p.QuarantineOf(e.ID); q != nil {
		b.Quarantined = q.Reason
	}
	return b
}

func formatName(f blocks.Format) string {
	switch {
	case f == blocks.Native:
		return "hot"
	case f == blocks.Parquet:
		return "parquet"
	case f.ResolutionMs() > 0:
		return fmt.Sprintf("rollup %v", time.Duration(f.ResolutionMs())*time.Millisecond)
	}
	return fmt.Sprintf("format %d", f)
}
