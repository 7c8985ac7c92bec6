package export

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
)

// TestSorter: more runs than are read at one time come out in order, twice, and leave nothing.
func TestSorter(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 3))
	parent := t.TempDir()
	s := newSorter(parent, 0)
	const records = 12_000
	for _, i := range rng.Perm(records) {
		payload := bytes.Repeat([]byte{byte(i)}, rng.IntN(600))
		require.NoError(t, s.add(fmt.Appendf(nil, "%06d", i), payload))
	}
	require.Greater(t, s.made, maxRuns)
	for range 2 {
		n := 0
		require.NoError(t, s.each(func(key, payload []byte) error {
			require.Equal(t, fmt.Sprintf("%06d", n), string(key))
			require.Equal(t, len(payload), bytes.Count(payload, []byte{byte(n)}))
			n++
			return nil
		}))
		require.Equal(t, records, n)
	}
	// A run that breaks off is an error, not its end.
	info, err := s.runs[0].Stat()
	require.NoError(t, err)
	require.NoError(t, s.runs[0].Truncate(info.Size()/2))
	require.Error(t, s.each(func([]byte, []byte) error { return nil }))
	require.NoError(t, s.close())
	entries, err := os.ReadDir(parent)
	require.NoError(t, err)
	require.Empty(t, entries)
}

// TestKeys: keys sort as labels do, and give them back.
func TestKeys(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 4))
	text := func(least int) string {
		b := make([]byte, least+rng.IntN(3))
		for i := range b {
			b[i] = []byte{0, 1, 2, 'a', 0xff}[rng.IntN(5)]
		}
		return string(b)
	}
	random := func() labels.Labels {
		b := labels.NewScratchBuilder(3)
		used := map[string]bool{}
		for range 1 + rng.IntN(3) {
			if name := text(1); !used[name] {
				used[name] = true
				b.Add(name, text(0))
			}
		}
		b.Sort()
		return b.Labels()
	}
	key := func(ls labels.Labels) (k []byte) {
		ls.Range(func(l labels.Label) { k = appendKeyText(appendKeyText(k, l.Name), l.Value) })
		return k
	}
	for range 20_000 {
		a, b := random(), random()
		require.Equal(t, sign(labels.Compare(a, b)), bytes.Compare(key(a), key(b)), "%q %q", a, b)
		back := labels.NewScratchBuilder(3)
		for k := key(a); len(k) > 0; {
			var name, value []byte
			name, k = cutKeyText(k)
			value, k = cutKeyText(k)
			back.Add(string(name), string(value))
		}
		require.Equal(t, a.String(), back.Labels().String())
	}
}

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}

// TestSeconds: what Prometheus makes of the text is the millisecond that was meant.
func TestSeconds(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 5))
	for range 100_000 {
		ms := rng.Int64N(4_000_000_000_000) - 2_000_000_000_000
		var v float64
		_, err := fmt.Sscan(string(appendSeconds(nil, ms)), &v)
		require.NoError(t, err)
		require.Equal(t, ms, int64(v*1000), string(appendSeconds(nil, ms)))
	}
	require.Equal(t, "1772323200", string(appendSeconds(nil, 1772323200000)))
	require.Equal(t, "0", string(appendSeconds(nil, 0)))
}
