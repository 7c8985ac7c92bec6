package memtable

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand"
	"reflect"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/model"
)

// TestBulk: a table that was filled in bulk equals one to which the same was appended, sample by sample.
func TestBulk(t *testing.T) {
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	for round := range int64(20) {
		r := rand.New(rand.NewSource(seed + round))
		single, gathering := New(nil, nil), New(nil, nil)
		bulk := NewBulk(gathering)
		bulk.limit = 1 + r.Intn(12)
		refs := map[string][]uint32{}
		for k := range 3 * pageSeries {
			tenant := fmt.Sprint("t", r.Intn(2))
			ls := labels.FromStrings("__name__", "m", "n", fmt.Sprint(k))
			ref := define(t, single, tenant, ls)
			if got := define(t, gathering, tenant, ls); got != ref {
				t.Fatalf("series %s is %d in one table and %d in the other", ls, ref, got)
			}
			refs[tenant] = append(refs[tenant], ref)
		}
		if r.Intn(2) == 0 {
			refs["t0"] = refs["t0"][:1] // its page overflows
		}
		var res Resolved
		for n := range 20_000 {
			tenant := fmt.Sprint("t", n/(1+r.Intn(500))%2)
			ref := refs[tenant][r.Intn(len(refs[tenant]))]
			at := int64(n)*(1+r.Int63n(3))*15_000 - r.Int63n(2)*int64(n)*20_000
			b := model.Batch{Series: make([]model.BatchSeries, 1)}
			bulk.Tenant(tenant)
			if r.Intn(50) == 0 {
				h := binary.LittleEndian.AppendUint64(nil, uint64(n))[:r.Intn(9)]
				b.Series[0].HistogramCount, b.Histograms = 1, []model.HistogramSample{{T: at, H: h}}
				bulk.Histogram(ref, at, h)
			} else {
				v := []float64{float64(n), math.NaN(), 0, r.NormFloat64()}[r.Intn(4)]
				b.Series[0].Count, b.Samples = 1, []model.Sample{{T: at, V: v}}
				bulk.Float(ref, at, v)
			}
			single.ResolveKnown(tenant, &b, []uint32{ref}, &res)
			single.Append(&b, &res)
		}
		bulk.Flush()
		if bulk.made > bulk.limit {
			t.Fatalf("%d buffers are made, at most %d", bulk.made, bulk.limit)
		}
		sameTables(t, single, gathering)
	}
}

func define(t *testing.T, table *Table, tenant string, ls labels.Labels) uint32 {
	t.Helper()
	ref, err := table.Define(tenant, ls)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// sameTables compares everything in which two tables of the same series could differ.
func sameTables(t *testing.T, want, got *Table) {
	t.Helper()
	if w, g := want.Stats(), got.Stats(); w != g {
		t.Fatalf("stats %+v, want %+v", g, w)
	}
	if w, g := want.Days(), got.Days(); !reflect.DeepEqual(w, g) {
		t.Fatalf("days %+v, want %+v", g, w)
	}
	for ref := range uint32(want.Names().Len()) {
		w, wantAny := contents(want, ref)
		g, gotAny := contents(got, ref)
		if wantAny != gotAny || !wantAny {
			if wantAny != gotAny {
				t.Fatalf("series %d: samples %v, want %v", ref, gotAny, wantAny)
			}
			continue
		}
		if !reflect.DeepEqual(w.T, g.T) || !reflect.DeepEqual(w.H, g.H) || !reflect.DeepEqual(bitsOf(w.V), bitsOf(g.V)) {
			t.Fatalf("series %d: %v, want %v", ref, g, w)
		}
	}
}

func contents(t *Table, ref uint32) (c model.Columns, any bool) {
	p := pageOf(*t.pages.Load(), ref)
	p.mu.Lock()
	defer p.mu.Unlock()
	sn, any := p.series[ref%pageSeries].snap(t, ref, t.names.labels(ref))
	if any {
		sn.read(&c, model.TimeRange{MinMs: math.MinInt64, MaxMs: math.MaxInt64})
	}
	return c, any
}

func bitsOf(vs []float64) (out []uint64) {
	for _, v := range vs {
		out = append(out, math.Float64bits(v))
	}
	return out
}
