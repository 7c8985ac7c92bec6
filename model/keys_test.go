package model

import (
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
)

func TestPairKeys(t *testing.T) {
	ls := labels.FromStrings("__name__", "up", "empty", "", "long", string(make([]byte, 300)))
	key := AppendPairs([]byte("before"), ls)[len("before"):]
	whole := map[int]bool{0: true}
	n := 0
	ls.Range(func(l labels.Label) {
		n += len(AppendText(AppendText(nil, l.Name), l.Value))
		whole[n] = true
	})
	for cut := range len(key) + 1 {
		b := labels.NewScratchBuilder(4)
		err := PairKeys("x").Decode(key[:cut], &b)
		if whole[cut] {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, ErrInvalid)
		}
		if cut == len(key) {
			require.Equal(t, ls, b.Labels())
		}
	}
	require.Equal(t, "x", PairKeys("x").Name())
}
