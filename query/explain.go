package query

import (
	"context"
	"math"
	"strings"
	"sync"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/cache"
)

// Prices of S3 standard in us-east-1, in USD a request. Other stores and classes differ; the order of magnitude does not.
const (
	PriceGet  = 0.4e-6
	PriceList = 5e-6
)

// Explain says what a query did at the bucket. Requests include retries and hedges.
type Explain struct {
	// Stages is the longest chain of requests of which each had to wait for the one before it.
	Stages int `json:"stages"`
	// Gets are all GETs, conditional ones too, and GetsByKind the same by what was read.
	Gets       int        `json:"gets"`
	GetsByKind GetsByKind `json:"gets_by_kind"`
	Lists      int        `json:"lists"`
	// BytesFetched are those of blocks and logs; those of catalogs, roots and the roster are CatalogBytes.
	BytesFetched int64 `json:"bytes_fetched"`
	CatalogBytes int64 `json:"catalog_bytes"`
	// BytesNeeded are the compressed pages of blocks that hold something selected, and the segments of logs that were read.
	BytesNeeded int64 `json:"bytes_needed"`
	// Blocks and Series were selected, a series once for each block; Samples were decoded, from wherever they came. Rollups is how many of the
	// blocks are of rollups.
	Blocks  int   `json:"blocks"`
	Rollups int   `json:"rollups,omitempty"`
	Series  int64 `json:"series"`
	Samples int64 `json:"samples"`
	// CacheHits are ranges of blocks, and what was parsed of them, that took no request of this query because caches had them. CacheBytes
	// are what they would have fetched.
	CacheHits  int64 `json:"cache_hits"`
	CacheBytes int64 `json:"cache_bytes"`
	// KeptSteps are steps of range queries whose results were kept from earlier queries.
	KeptSteps int64 `json:"kept_steps"`
	// CostUSD is what the requests cost at PriceGet and PriceList. Traffic within a region is free.
	CostUSD float64 `json:"cost_usd"`
}

// GetsByKind are the GETs of an Explain.
type GetsByKind struct {
	Roster  int `json:"roster"`
	Root    int `json:"root"`
	Catalog int `json:"catalog"`
	Block   int `json:"block"`
	Log     int `json:"log"`
	Other   int `json:"other,omitempty"`
}

// of returns the counter for a key (DESIGN of the names: packages catalog, blocks and wal).
func (g *GetsByKind) of(key string) *int {
	parts := strings.SplitN(key, "/", 4)
	switch {
	case key == "w/roster":
		return &g.Roster
	case parts[0] == "w" && len(parts) > 2:
		return &g.Log
	case parts[0] == "d", parts[0] == "r":
		return &g.Block
	case parts[0] == "t" && len(parts) == 3 && parts[2] == "root":
		return &g.Root
	case parts[0] == "t" && len(parts) == 4 && parts[2] == "c":
		return &g.Catalog
	}
	return &g.Other
}

// Account collects what the queries of one context do. Safe for concurrent use.
type Account struct {
	selected blocks.Stats
	cached   cache.Usage

	mu     sync.Mutex // guards what follows
	sum    Explain
	asked  int64 // bytes of ranges under way
	logged int64 // bytes of the segments that were read of logs
}

type accountKey struct{}

// WithAccount returns a context whose queries are counted in the account. Their budgets then hold for all of them together.
func WithAccount(ctx context.Context) (context.Context, *Account) {
	a := &Account{}
	return context.WithValue(ctx, accountKey{}, a), a
}

func accountOf(ctx context.Context) *Account {
	if a, ok := ctx.Value(accountKey{}).(*Account); ok {
		return a
	}
	return &Account{}
}

// Explain returns the counts so far.
func (a *Account) Explain() Explain {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.sum
	e.Series = a.selected.Series.Load()
	e.BytesNeeded = a.selected.Needed.Load() + a.logged
	e.CacheHits, e.CacheBytes = a.cached.Hits.Load(), a.cached.Bytes.Load()
	e.CostUSD = e.cost()
	return e
}

// cost is rounded to a tenth of the cheapest request, so that it prints well.
func (e *Explain) cost() float64 {
	const unit = 1e8
	return math.Round((float64(e.Gets)*PriceGet+float64(e.Lists)*PriceList)*unit) / unit
}

// trace is what the account sees of the bucket, within the limits.
func (a *Account) trace(l *Limits) *blob.Trace {
	return &blob.Trace{
		Begin: func(r blob.Request) error { return a.begin(r, l) },
		End:   a.end,
	}
}

// begin counts a request, unless it would break a limit.
func (a *Account) begin(r blob.Request, l *Limits) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	next := a.sum
	if r.List {
		next.Lists++
	} else {
		next.Gets++
		*next.GetsByKind.of(r.Key)++
	}
	next.Stages = max(next.Stages, r.Stage)
	asked := a.asked + max(r.Bytes, 0)
	if err := l.check(&next, asked); err != nil {
		return err
	}
	a.sum, a.asked = next, asked
	return nil
}

func (a *Account) end(r blob.Request, bytes int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked -= max(r.Bytes, 0)
	var g GetsByKind
	switch g.of(r.Key) {
	case &g.Log, &g.Block:
		a.sum.BytesFetched += bytes
	default:
		a.sum.CatalogBytes += bytes
	}
}

// decoded counts samples, and fails beyond the limit.
func (a *Account) decoded(n int, l *Limits) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sum.Samples += int64(n)
	return l.checkSamples(a.sum.Samples)
}

// kept counts steps that were not evaluated.
func (a *Account) kept(steps int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sum.KeptSteps += steps
}

func (a *Account) logRead(bytes int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.logged += bytes
}

func (a *Account) touched(p *plan) {
	rollups := 0
	for i := range p.blocks {
		if p.blocks[i].Format.ResolutionMs() > 0 {
			rollups++
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sum.Blocks += len(p.blocks)
	a.sum.Rollups += rollups
}
