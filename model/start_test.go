package model

import (
	"bytes"
	"errors"
	"math"
	"testing"
)

func TestStart(t *testing.T) {
	for _, start := range []int64{1, -1, 0, math.MaxInt64, math.MinInt64} {
		for _, v := range []float64{0, math.Copysign(0, -1), math.Inf(1), math.Float64frombits(0x7ff0000000000002), 1.5} {
			st, got, h, err := SplitStart(FloatWithStart(start, v))
			if err != nil || h != nil || st != start || math.Float64bits(got) != math.Float64bits(v) {
				t.Errorf("float %v from %d came back as %v from %d, histogram %x, %v", v, start, got, st, h, err)
			}
		}
		plain := []byte{0x0a, 1, 2, 3}
		st, _, h, err := SplitStart(HistogramWithStart(start, plain))
		if err != nil || st != start || !bytes.Equal(h, plain) {
			t.Errorf("histogram from %d came back as %x from %d, %v", start, h, st, err)
		}
		if st, _, h, err := SplitStart(plain); err != nil || st != 0 || !bytes.Equal(h, plain) {
			t.Errorf("plain histogram came back as %x from %d, %v", h, st, err)
		}
	}
}

func FuzzSplitStart(f *testing.F) {
	f.Add(FloatWithStart(-5, 1.5))
	f.Add(HistogramWithStart(5, []byte{1}))
	f.Add([]byte{0, 0, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		st, v, h, err := SplitStart(b)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Errorf("unexpected kind: %v", err)
			}
			return
		}
		if len(b) == 0 || b[0] != startMark {
			return
		}
		again := HistogramWithStart(st, h)
		if h == nil {
			again = FloatWithStart(st, v)
		}
		if st2, v2, h2, err := SplitStart(again); err != nil || st2 != st || math.Float64bits(v2) != math.Float64bits(v) || !bytes.Equal(h2, h) {
			t.Errorf("%x does not round trip", b)
		}
	})
}
