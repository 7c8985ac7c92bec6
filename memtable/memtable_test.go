package memtable

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/model"
)

// textKeys decodes keys of the form name=value,name=value.
type textKeys struct{}

func (textKeys) Name() string { return "text" }

func (textKeys) Decode(key []byte, b *labels.ScratchBuilder) error {
	for pair := range strings.SplitSeq(string(key), ",") {
		name, val, ok := strings.Cut(pair, "=")
		if !ok {
			return fmt.Errorf("pair %q: %w", pair, model.ErrInvalid)
		}
		b.Add(name, val)
	}
	return nil
}

// write is one series of a test batch.
type write struct {
	key        string
	samples    []model.Sample
	histograms []model.HistogramSample
}

func batch(ws ...write) *model.Batch {
	b := &model.Batch{Labels: textKeys{}}
	for _, w := range ws {
		b.Series = append(b.Series, model.BatchSeries{
			Key: []byte(w.key), First: int32(len(b.Samples)), Count: int32(len(w.samples)),
			FirstHistogram: int32(len(b.Histograms)), HistogramCount: int32(len(w.histograms)),
		})
		b.Samples = append(b.Samples, w.samples...)
		b.Histograms = append(b.Histograms, w.histograms...)
	}
	return b
}

func add(t require.TestingT, tab *Table, tenant string, ws ...write) *Resolved {
	var res Resolved
	b := batch(ws...)
	require.NoError(t, tab.Resolve(tenant, b, &res))
	tab.Append(b, &res)
	return &res
}

func floats(tv ...float64) []model.Sample {
	var out []model.Sample
	for i := 0; i < len(tv); i += 2 {
		out = append(out, model.Sample{T: int64(tv[i]), V: tv[i+1]})
	}
	return out
}

var everything = model.TimeRange{MinMs: math.MinInt64, MaxMs: math.MaxInt64}

// show prints a selection, one line a series.
func show(t require.TestingT, tab *Table, tenant string, r model.TimeRange, ms ...*labels.Matcher) string {
	sel, err := tab.Select(context.Background(), tenant, r, ms)
	require.NoError(t, err)
	defer sel.Close()
	var out strings.Builder
	for _, s := range sel.Series {
		var c model.Columns
		require.NoError(t, s.Samples(&c, r))
		fmt.Fprintf(&out, "%s%s\n", s.Labels(), showColumns(&c))
	}
	return out.String()
}

func showColumns(c *model.Columns) string {
	var out strings.Builder
	for i := range c.T {
		if c.H != nil && c.H[i] != nil {
			fmt.Fprintf(&out, " %d:h%q", c.T[i], c.H[i])
		} else {
			fmt.Fprintf(&out, " %d:%x", c.T[i], math.Float64bits(c.V[i]))
		}
	}
	return out.String()
}

func TestReverseOrder(t *testing.T) {
	tab := New(nil, nil)
	const n = 10_000
	for i := n; i > 0; i-- {
		add(t, tab, "t", write{key: "a=b", samples: floats(float64(i*1000), float64(i))})
	}
	sel, err := tab.Select(t.Context(), "t", everything, nil)
	require.NoError(t, err)
	var c model.Columns
	require.NoError(t, sel.Series[0].Samples(&c, everything))
	require.Equal(t, n, c.Len())
	require.True(t, slices.IsSorted(c.T))
	require.Equal(t, int64(n-1), tab.Stats().OutOfOrder)
	require.Less(t, tab.Bytes(), int64(160_000), "the side buffer is compressed")
	for i, at := range c.T {
		require.Equal(t, float64(at/1000), c.V[i])
	}
}

func TestCounts(t *testing.T) {
	tab := New(nil, nil)
	add(t, tab, "t", write{key: "a=b", samples: floats(1, 1, 2, 2, 2, 2, 2, 3, 2, 3, 2, 2, 1, 1)})
	st := tab.Stats()
	require.Equal(t, Stats{Series: 1, Samples: 7, Duplicates: 2, Overwritten: 2, OutOfOrder: 1, Bytes: st.Bytes}, st)
	require.Equal(t, "{a=\"b\"} 1:3ff0000000000000 2:4000000000000000\n", show(t, tab, "t", everything))
	require.Empty(t, show(t, tab, "other", everything))
}

func TestRejections(t *testing.T) {
	tab := New(&Options{MaxLabels: 3, MaxNameBytes: 10, MaxValueBytes: 10, MaxSeries: 2}, nil)
	good := floats(1, 1)
	for _, c := range []struct {
		key  string
		want string
		kind error
	}{
		{"=x", "empty label name", model.ErrInvalid},
		{"a=1,a=2", "occurs twice", model.ErrInvalid},
		{"a=1,a=1", "occurs twice", model.ErrInvalid},
		{"a=1,a=", "occurs twice", model.ErrInvalid},
		{"a\x00b=1", "NUL", model.ErrInvalid},
		{"__name__=a\x00b", "NUL", model.ErrInvalid},
		{"a\xff=1", "UTF-8", model.ErrInvalid},
		{"a=\xff", "UTF-8", model.ErrInvalid},
		{"a=", "without labels", model.ErrInvalid},
		{"a=1,b=2,c=3,d=4", "4 labels", model.ErrLimit},
		{"a=12345678901", "11 bytes", model.ErrLimit},
		{"a2345678901=1", "11 bytes", model.ErrLimit},
		{"nonsense", "decode labels", model.ErrInvalid},
	} {
		res := add(t, tab, "t", write{key: c.key, samples: good})
		require.Len(t, res.Rejected, 1, c.key)
		require.ErrorContains(t, res.Rejected[0].Err, c.want, c.key)
		require.ErrorIs(t, res.Rejected[0].Err, c.kind, c.key)
		require.Equal(t, 1, res.RejectedSamples)
		reason := model.ReasonLabels
		if errors.Is(c.kind, model.ErrLimit) {
			reason = model.ReasonLimit
		}
		require.Equal(t, map[model.Reason]int{reason: 1}, res.Reasons, c.key)
		require.Zero(t, res.Samples)
	}
	require.Empty(t, tab.Days(), "rejected samples open no day")
	// The good part is kept; the third new series is too much.
	res := add(t, tab, "t",
		write{key: "ü=1", samples: good}, write{key: "bad", samples: good},
		write{key: "x=1,e=,f=,g=", samples: good}, write{key: "x=3", samples: good},
		write{key: "x=1", samples: floats(float64(model.MaxTimeMs+1), 1)}, write{key: "x=1", samples: floats(2, 2)})
	require.Len(t, res.Rejected, 3)
	require.ErrorIs(t, res.Rejected[1].Err, model.ErrLimit)
	require.Equal(t, 1, res.Reasons[model.ReasonSeries], "the one that passes by itself is told apart")
	require.ErrorIs(t, res.Rejected[2].Err, model.ErrInvalid)
	require.Equal(t, "{x=\"1\"} 1:3ff0000000000000 2:4000000000000000\n{\"ü\"=\"1\"} 1:3ff0000000000000\n", show(t, tab, "t", everything))
	require.Equal(t, []DayStats{{Tenant: "t", Day: 0, Samples: 3, MinT: 1, MaxT: 2}}, tab.Days())
}

func TestDayLimit(t *testing.T) {
	tab := New(&Options{MaxDays: 2}, nil)
	day := float64(model.MsPerDay)
	add(t, tab, "t", write{key: "a=b", samples: floats(0, 1)})
	var res Resolved
	err := tab.Resolve("t", batch(write{key: "a=b", samples: floats(day, 1, 2*day, 1)}), &res)
	require.ErrorIs(t, err, model.ErrLimit)
	err = tab.Resolve("t", batch(write{key: "a=b", samples: floats(0, 1, day, 1, 2*day, 1)}), &res)
	require.ErrorIs(t, err, model.ErrInvalid, "too many days by itself: later is no better")
	add(t, tab, "t", write{key: "a=b", samples: floats(day, 1)})
	add(t, tab, "u", write{key: "a=b", samples: floats(2*day, 1)})
	require.Len(t, tab.Days(), 3)
}

func TestManyDays(t *testing.T) {
	tab := New(nil, nil)
	var samples []model.Sample
	for i := range int64(3000) {
		samples = append(samples, model.Sample{T: i % 900 * model.MsPerDay, V: float64(i)})
	}
	add(t, tab, "t", write{key: "a=b", samples: samples})
	days := tab.Days()
	require.Len(t, days, 900)
	total := int64(0)
	for _, d := range days {
		total += d.Samples
		require.Equal(t, d.Day.Range().MinMs, d.MinT)
	}
	require.Equal(t, int64(3000), total)
}

func TestRefsAndLogged(t *testing.T) {
	tab := New(nil, nil)
	res := add(t, tab, "t", write{key: "a=b"}, write{key: "c=d"}, write{key: "a=b"})
	require.Equal(t, []uint32{0, 1, 0}, res.Refs)
	require.True(t, tab.LogOnce(0))
	require.False(t, tab.LogOnce(0))
	require.Equal(t, []uint32{0}, add(t, tab, "t", write{key: "a=b"}).Refs)
	require.Equal(t, []uint32{2}, add(t, tab, "u", write{key: "a=b"}).Refs)
	require.True(t, tab.LogOnce(2))
	require.Equal(t, "{a=\"b\"}", tab.Labels(2).String())
}

func TestAppendAfterSealPanics(t *testing.T) {
	tab := New(nil, nil)
	var res Resolved
	b := batch(write{key: "a=b", samples: floats(1, 1)})
	require.NoError(t, tab.Resolve("t", b, &res))
	tab.Seal()
	require.PanicsWithValue(t, "bug: memtable: append to a sealed generation", func() { tab.Append(b, &res) })
}

func TestAliasesAreBounded(t *testing.T) {
	var a aliases
	for i := range 10_000 {
		a.insert([]unknown{{h: hash{uint64(i), 7}, ref: uint32(i)}}, 1000)
	}
	require.LessOrEqual(t, a.n, uint32(1000))
	require.LessOrEqual(t, len(a.slots), 2048)
	require.LessOrEqual(t, len(a.pages), 2)
	at, found := a.find(hash{9999, 7})
	require.True(t, found)
	require.Equal(t, uint32(9999), a.pages[at/aliasesPerPage].refs[at%aliasesPerPage])
	_, found = a.find(hash{3, 7})
	require.False(t, found)
}

// FuzzBlock round-trips arbitrary ascending samples through the encoding.
func FuzzBlock(f *testing.F) {
	f.Add([]byte("0123456789abcdef0123456789abcdef"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var a arena
		s := &series{}
		var want model.Columns
		at := int64(0)
		for ; len(raw) >= 12; raw = raw[12:] {
			at += 1 + int64(binary.LittleEndian.Uint32(raw)>>(raw[4]&31))
			v := math.Float64frombits(binary.LittleEndian.Uint64(raw[4:]))
			if raw[0]&1 == 0 {
				v = float64(int32(binary.LittleEndian.Uint32(raw[4:]))) / float64([]int{1, 10, 100, 1000}[raw[0]>>1&3])
			}
			want.Append(at, v)
			s.push(&a, at, v)
		}
		if want.Len() == 0 {
			return
		}
		sn, _ := s.snap(&Table{}, 0, labels.EmptyLabels())
		sn.table.arena.slabs.Store(a.slabs.Load())
		var got model.Columns
		sn.read(&got, everything)
		if showColumns(&got) != showColumns(&want) {
			t.Fatalf("got  %s\nwant %s", showColumns(&got), showColumns(&want))
		}
	})
}

func TestSelectEndsWithContext(t *testing.T) {
	tab := New(nil, nil)
	add(t, tab, "t", write{key: "a=b", samples: floats(1, 1)})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := tab.Select(ctx, "t", everything, nil)
	require.True(t, errors.Is(err, context.Canceled))
}

// TestLongRun repeats one value more often than a block can count.
func TestLongRun(t *testing.T) {
	tab := New(nil, nil)
	var want []model.Sample
	for i := range 70_000 {
		want = append(want, model.Sample{T: int64(i) * 1000, V: 1})
	}
	want = append(want, model.Sample{T: 70_000_000, V: 2})
	add(t, tab, "t", write{key: "a=b", samples: want})
	require.Less(t, tab.arena.bytes.Load(), int64(1000))
	sel, err := tab.Select(t.Context(), "t", everything, nil)
	require.NoError(t, err)
	var c model.Columns
	require.NoError(t, sel.Series[0].Samples(&c, everything))
	require.Equal(t, len(want), c.Len())
	for i, s := range want {
		if c.T[i] != s.T || c.V[i] != s.V {
			t.Fatalf("sample %d is %d %v, want %v", i, c.T[i], c.V[i], s)
		}
	}
}
