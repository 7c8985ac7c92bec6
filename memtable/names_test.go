package memtable

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTablesShareNames: a table that follows another knows its series by the same refs, and has none of its samples nor counts.
func TestTablesShareNames(t *testing.T) {
	names := NewNames()
	first := New(nil, names)
	add(t, first, "t", write{key: "__name__=a,x=1", samples: floats(1, 1)}, write{key: "__name__=b,Z=2", samples: floats(1, 1)})
	add(t, first, "u", write{key: "__name__=a,x=1", samples: floats(1, 1)})
	second := New(&Options{MaxSeries: 1}, names)
	bytes := names.Bytes()
	res := add(t, second, "t", write{key: "__name__=b,Z=2", samples: floats(2, 2)})
	require.Equal(t, []uint32{1}, res.Refs)
	require.Equal(t, bytes, names.Bytes(), "nothing was learnt")
	require.True(t, second.LogOnce(1), "what one table has logged another has not")
	require.Equal(t, "{Z=\"2\", __name__=\"b\"} 2:4000000000000000\n", show(t, second, "t", everything))
	require.Equal(t, int64(1), second.Stats().Series)
	res = add(t, second, "t", write{key: "__name__=a,x=1", samples: floats(2, 2)})
	require.Equal(t, []uint32{NoSeries}, res.Refs, "the limit is each table's own")
	require.ErrorContains(t, res.Rejected[0].Err, "tenant has 1 series since the last flush")
	res = add(t, second, "t", write{key: "__name__=c", samples: floats(2, 2)})
	require.Equal(t, []uint32{NoSeries}, res.Refs)
	require.Equal(t, 3, names.Len(), "what is refused is not learnt")
	require.Empty(t, show(t, second, "u", everything))
	require.Len(t, second.Days(), 1)
}

// TestKeysInAnyOrder: whatever order keys come in, and however many keys a series has, the series are found.
func TestKeysInAnyOrder(t *testing.T) {
	tab := New(nil, nil)
	const n = 1500
	for round := range 4 {
		var ws []write
		for k := range n {
			i := (k*7919*round + k) % n
			key := fmt.Sprintf("__name__=m,i=%d,j=x", i)
			if round%2 == 1 {
				key = fmt.Sprintf("j=x,i=%d,__name__=m", i)
			}
			ws = append(ws, write{key: key, samples: floats(float64(round), float64(i))})
		}
		res := add(t, tab, "t", ws...)
		for k := range ws {
			require.Equal(t, fmt.Sprint((k*7919*round+k)%n), tab.Labels(res.Refs[k]).Get("i"))
		}
	}
	require.Equal(t, int64(n), tab.Stats().Series)
}

// TestEnterWhileResolving: tables grow their pages while other requests look at them. Meant for -race.
func TestEnterWhileResolving(t *testing.T) {
	names := NewNames()
	for range 3 {
		tab := New(nil, names)
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() {
				for i := range 40 {
					var ws []write
					for k := range 50 {
						ws = append(ws, write{key: fmt.Sprintf("__name__=m,i=%d", (i*50+k+w*997)%4000), samples: floats(float64(i), 1)})
					}
					var res Resolved
					b := batch(ws...)
					if err := tab.Resolve("t", b, &res); err != nil {
						t.Error(err)
					}
					tab.Append(b, &res)
				}
			})
		}
		wg.Wait()
		require.Equal(t, int64(8000), tab.Stats().Samples)
	}
	require.Equal(t, 4000, names.Len())
}
