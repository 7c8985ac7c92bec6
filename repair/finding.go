package repair

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// Severity says how bad a finding is.
type Severity string

// The severities.
const (
	// Lost: samples cannot be read.
	Lost Severity = "lost"
	// Wrong: nothing is lost, but something is not as it must be.
	Wrong Severity = "wrong"
	// Note: something is worth knowing and no fault.
	Note Severity = "note"
)

// The kinds of findings.
const (
	KindCatalog   = "catalog"   // a catalog, root, roster or snapshot that cannot be read
	KindDays      = "days"      // root and catalogs name different days
	KindMissing   = "missing"   // an object that is named is not there
	KindDamaged   = "damaged"   // an object's bytes are not what they were
	KindVersion   = "version"   // an object was written by a later version
	KindDiffers   = "differs"   // an object is not the one that the catalog describes
	KindOrphan    = "orphan"    // a block that no catalog names
	KindOverlap   = "overlap"   // blocks whose order does not decide between them
	KindDouble    = "double"    // samples that lie in two places
	KindWatermark = "watermark" // a block of a generation that is not entered as flushed
	KindRolled    = "rolled"    // a block that rollups do not have as the catalog says
	KindLog       = "log"       // a hole in, or damage of, a shipped log
	KindForeign   = "foreign"   // an object that is none of ours
	KindRefused   = "refused"   // an object that could not be read for other reasons
	// KindQuarantined is a block that a merge could not read and put aside, restored or not.
	KindQuarantined = "quarantined"
)

// Finding is one thing that is not as it should be.
type Finding struct {
	Severity Severity `json:"severity"`
	Kind     string   `json:"kind"`
	Tenant   string   `json:"tenant,omitempty"`
	Day      string   `json:"day,omitempty"`
	// Object is the key of the object.
	Object string `json:"object"`
	// What is wrong, with the offset where there is one.
	What string `json:"what"`
	// Do says what to do about it.
	Do string `json:"do"`
}

// Report is what a Check came to.
type Report struct {
	Tenants    int `json:"tenants"`
	Partitions int `json:"partitions"`
	// Blocks are live and retired ones, Bytes their size; Samples those of live blocks that were decoded.
	Blocks  int   `json:"blocks"`
	Bytes   int64 `json:"bytes"`
	Samples int64 `json:"samples"`
	// Windows are those of rollups that were decoded.
	Windows int64 `json:"windows"`
	Orphans int   `json:"orphans"`
	// Findings are sorted by object; Untold is how many more there were than are listed.
	Findings []Finding `json:"findings"`
	Untold   int       `json:"untold"`
}

// Bad counts the findings that are more than notes.
func (r *Report) Bad() (n int) {
	for _, f := range r.Findings {
		if f.Severity != Note {
			n++
		}
	}
	return n + r.Untold
}

// maxFindings bounds a report.
const maxFindings = 10_000

// Options narrow a Check or a Rebuild down; nil is everything.
type Options struct {
	// Tenant and Day are the only ones looked at [all].
	Tenant string
	Day    *model.Day
	// Depth is how much of each block a Check reads [Footers].
	Depth Depth
	// Parallel is how many partitions are looked at a time [4].
	Parallel int
	// ReadBytes bounds what decoding holds of the blocks of one partition [16 MiB].
	ReadBytes int64
	// Force lets a Rebuild replace what is healthy; DryRun lets it write nothing.
	Force, DryRun bool
	// Progress, if set, is called now and then with the number of partitions done, by one goroutine at a time.
	Progress func(done, total int)
}

// Depth is how much of a block is read.
type Depth int

// The depths.
const (
	// Footers reads the footer of each block: one or two requests.
	Footers Depth = iota
	// Quick compares names and sizes only.
	Quick
	// Deep reads and decodes every byte.
	Deep
)

func (o *Options) withDefaults() Options {
	var r Options
	if o != nil {
		r = *o
	}
	if r.Parallel <= 0 {
		r.Parallel = 4
	}
	if r.ReadBytes <= 0 {
		r.ReadBytes = 16 << 20
	}
	return r
}

// Components are what both work with. All are required.
type Components struct {
	Bucket  *blob.Bucket
	Catalog *catalog.Store
	// NowMs is the clock, for the age of orphans and the names of copies.
	NowMs func() int64
}

func (c *Components) reader() blocks.Stored { return blocks.Stored{Bucket: c.Bucket} }

// place is where something was found.
type place struct {
	tenant string
	day    model.Day
	object string
}

func (p place) block(id string, f blocks.Format) place {
	p.object = blocks.KeyOf(p.tenant, p.day, id, f)
	return p
}

// notes collects findings and counts. Safe for concurrent use.
type notes struct {
	mu sync.Mutex // guards report
	r  Report
}

func (n *notes) count(f func(*Report)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f(&n.r)
}

func (n *notes) add(p place, s Severity, kind, do, format string, args ...any) {
	f := Finding{Severity: s, Kind: kind, Tenant: p.tenant, Object: p.object, What: fmt.Sprintf(format, args...), Do: do}
	if p.day != 0 {
		f.Day = p.day.Dashed()
	}
	n.count(func(r *Report) {
		if len(r.Findings) >= maxFindings {
			r.Untold++
			return
		}
		r.Findings = append(r.Findings, f)
	})
}

func (n *notes) report() *Report {
	n.mu.Lock()
	defer n.mu.Unlock()
	slices.SortStableFunc(n.r.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Object, b.Object), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.What, b.What))
	})
	if n.r.Findings == nil {
		n.r.Findings = []Finding{}
	}
	return &n.r
}
