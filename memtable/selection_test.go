package memtable

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/model"
)

// TestHasIn asks for random ranges whether a series has samples there, and finds that a long range amid it is known by headers
// alone.
func TestHasIn(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	tab := New(nil, nil)
	var all []int64
	at := int64(0)
	var samples []model.Sample
	for range 3000 {
		at += 1 + r.Int64N(30)
		if r.IntN(200) == 0 {
			at += 5000
		}
		all = append(all, at)
		samples = append(samples, model.Sample{T: at, V: r.NormFloat64()})
	}
	add(t, tab, "t", write{key: "a=b", samples: samples})
	// Late ones lie aside.
	late := []int64{all[100] + 1, all[2000] + 1}
	add(t, tab, "t", write{key: "a=b", samples: []model.Sample{{T: late[0]}, {T: late[1]}}})
	all = append(all, late...)
	sel, err := tab.Select(t.Context(), "t", everything, nil)
	require.NoError(t, err)
	s := sel.Series[0].(*snapshot)
	for range 3000 {
		from := r.Int64N(at+2000) - 1000
		in := model.TimeRange{MinMs: from, MaxMs: from + r.Int64N([]int64{3, 60, 6000}[r.IntN(3)])}
		want := false
		for _, ts := range all {
			want = want || in.Contains(ts)
		}
		require.Equal(t, want, s.hasIn(in), "%v", in)
	}
	amid := model.TimeRange{MinMs: at / 4, MaxMs: at / 4 * 3}
	require.Zero(t, testing.AllocsPerRun(10, func() { require.True(t, s.hasIn(amid)) }))
}

func TestBefore(t *testing.T) {
	tab := New(nil, nil)
	add(t, tab, "t", write{key: "a=b", samples: []model.Sample{{T: 1, V: 1}, {T: 9, V: 9}}})
	add(t, tab, "t", write{key: "a=b", histograms: []model.HistogramSample{{T: 7, H: []byte("seven")}, {T: 3, H: []byte("three")}, {T: 11, H: []byte("eleven")}}})
	sel, err := tab.Select(t.Context(), "t", everything, nil)
	require.NoError(t, err)
	for before, want := range map[int64]string{12: "eleven", 11: "float 9", 9: "seven", 7: "three", 3: "nothing", -5: "nothing"} {
		var c model.Columns
		require.NoError(t, model.Before(&c, sel.Series, before))
		got := "nothing"
		if c.H != nil {
			got = string(c.H[0])
		} else if c.Len() > 0 {
			got = fmt.Sprint("float ", c.V[0])
		}
		require.Equal(t, want, got, "before %d", before)
	}
}
