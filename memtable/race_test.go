package memtable

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/model"
)

// TestSelectWhileAppending checks that a selection holds all that was appended before it, and that it does not
// change while it is read. Meant for -race.
func TestSelectWhileAppending(t *testing.T) {
	tab := New(nil, nil)
	const writers, rounds, each = 4, 60, 20
	var done [writers]struct {
		mu sync.Mutex
		n  int
	}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			var res Resolved
			for i := range rounds {
				var ws []write
				for s := range each {
					at := float64(1000 * i)
					// Every fourth sample comes twice as late as the one after it.
					ws = append(ws, write{
						key:     fmt.Sprintf("__name__=m%d,w=%d,new=%d", s, w, (i/20)*(s%3)),
						samples: floats(at+500, float64(i), at, float64(i)/3),
					})
				}
				b := batch(ws...)
				if err := tab.Resolve("t", b, &res); err != nil {
					t.Error(err)
					return
				}
				tab.Append(b, &res)
				done[w].mu.Lock()
				done[w].n += 2 * each
				done[w].mu.Unlock()
			}
		})
	}
	for range 30 {
		atLeast := 0
		for w := range done {
			done[w].mu.Lock()
			atLeast += done[w].n
			done[w].mu.Unlock()
		}
		require.GreaterOrEqual(t, countSamples(t, tab), atLeast)
		total := 0
		for _, d := range tab.Days() {
			for _, c := range tab.Iterate("t", d.Day) {
				total += c.Len()
			}
		}
		require.GreaterOrEqual(t, total, atLeast)
	}
	wg.Wait()
	require.Equal(t, writers*rounds*each*2, countSamples(t, tab))
}

func countSamples(t *testing.T, tab *Table) int {
	sel, err := tab.Select(context.Background(), "t", everything, nil)
	require.NoError(t, err)
	defer sel.Close()
	total := 0
	for _, s := range sel.Series {
		var first, second model.Columns
		require.NoError(t, s.Samples(&first, everything))
		require.NoError(t, s.Samples(&second, everything))
		require.Equal(t, first.T, second.T)
		total += first.Len()
	}
	return total
}

// TestLargeSelectionIsSorted passes the size at which selections are sorted by remembered ranks, while series are added.
func TestLargeSelectionIsSorted(t *testing.T) {
	tab := New(nil, nil)
	for round := range 5 {
		var ws []write
		for i := range 400 {
			ws = append(ws, write{key: fmt.Sprintf("id=%d,__name__=m%d,Z=%d", (i*7919+round*31)%100_003, i%7, i%3), samples: floats(float64(round), 1)})
			add(t, tab, "other", write{key: fmt.Sprintf("id=%d", i+round*1000), samples: floats(1, 1)})
		}
		add(t, tab, "t", ws...)
		for _, tenant := range []string{"t", "other"} {
			for range 2 {
				sel, err := tab.Select(t.Context(), tenant, everything, nil)
				require.NoError(t, err)
				require.Len(t, sel.Series, 400*(round+1))
				for i := 1; i < len(sel.Series); i++ {
					require.Negative(t, labels.Compare(sel.Series[i-1].Labels(), sel.Series[i].Labels()))
				}
			}
		}
	}
}
