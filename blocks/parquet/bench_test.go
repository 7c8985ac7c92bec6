package parquet

import (
	"fmt"
	"math/rand"
	"testing"

	"github.com/parquet-go/parquet-go/encoding/delta"
	"github.com/stretchr/testify/require"
)

// BenchmarkDelta measures our delta codec beside that of parquet-go, on numbers whose deltas take so many bits.
func BenchmarkDelta(b *testing.B) {
	r := rand.New(rand.NewSource(1))
	theirs := &delta.BinaryPackedEncoding{}
	for _, width := range []int{0, 1, 5, 8, 12, 20, 30} {
		m := make([]int64, stripeRows)
		v := int64(1e12)
		for i := range m {
			m[i] = v
			v += int64(r.Uint64() >> 1 >> (63 - width))
		}
		speed := func(b *testing.B) {
			b.ReportMetric(float64(len(m))*float64(b.N)/1e6/b.Elapsed().Seconds(), "M/s")
		}
		page := appendDelta(nil, m, false)
		b.Run(fmt.Sprintf("encode/%d", width), func(b *testing.B) {
			var page []byte
			for b.Loop() {
				page = appendDelta(page[:0], m, false)
			}
			speed(b)
		})
		b.Run(fmt.Sprintf("decode/%d", width), func(b *testing.B) {
			var out []int64
			var err error
			for b.Loop() {
				out, err = decodeDelta(out, page, len(m))
				require.NoError(b, err)
			}
			speed(b)
		})
		b.Run(fmt.Sprintf("decode-parquet-go/%d", width), func(b *testing.B) {
			var out []int64
			var err error
			for b.Loop() {
				out, err = theirs.DecodeInt64(out, page)
				require.NoError(b, err)
			}
			speed(b)
		})
	}
}
