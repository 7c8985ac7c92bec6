package chunk

import (
	"encoding/binary"
	"math"
	"slices"
)

// AppendRun appends the timestamps, which ascend strictly, as a run. There must be 1 to MaxSamples.
func AppendRun(dst []byte, t []int64) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(t)))
	dst = binary.AppendVarint(dst, t[0])
	if len(t) == 1 {
		return dst
	}
	prev := t[1] - t[0]
	dst = binary.AppendUvarint(dst, uint64(prev))
	zeros := 0
	for i := 2; i < len(t); i++ {
		d := t[i] - t[i-1]
		if d == prev {
			zeros++
			continue
		}
		if zeros > 0 {
			dst = append(dst, 0)
			dst = binary.AppendUvarint(dst, uint64(zeros-1))
			zeros = 0
		}
		dst = binary.AppendVarint(dst, d-prev)
		prev = d
	}
	if zeros > 0 {
		dst = append(dst, 0)
		dst = binary.AppendUvarint(dst, uint64(zeros-1))
	}
	return dst
}

// DecodeRun appends the timestamps of run b, which must have no byte too many, to dst. Errors wrap model.ErrCorrupt.
func DecodeRun(dst []int64, b []byte) ([]int64, error) {
	n, w := binary.Uvarint(b)
	if w <= 0 || n < 1 || n > MaxSamples {
		return dst, corrupt("run of %d timestamps", n)
	}
	b = b[w:]
	first, w := binary.Varint(b)
	if w <= 0 {
		return dst, corrupt("first timestamp of a run")
	}
	b = b[w:]
	at := len(dst)
	dst = append(slices.Grow(dst, int(n)), first)
	if n > 1 {
		var ok bool
		if dst, b, ok = decodeDiffs(dst, b, int(n)-1); !ok {
			return dst[:at], corrupt("differences of a run of %d", n)
		}
	}
	if len(b) != 0 {
		return dst[:at], corrupt("%d bytes behind a run", len(b))
	}
	return dst, nil
}

// decodeDiffs appends n timestamps that follow the last one of dst.
func decodeDiffs(dst []int64, b []byte, n int) ([]int64, []byte, bool) {
	u, w := binary.Uvarint(b)
	if w <= 0 || u > math.MaxInt64 {
		return dst, b, false
	}
	b = b[w:]
	t, d := dst[len(dst)-1], int64(u)
	repeat := uint64(1)
	for n > 0 {
		if repeat > uint64(n) {
			return dst, b, false
		}
		for ; repeat > 0; repeat-- {
			if d <= 0 || t > math.MaxInt64-d {
				return dst, b, false
			}
			t += d
			dst = append(dst, t)
			n--
		}
		if n == 0 {
			break
		}
		dd, w := binary.Varint(b)
		if w <= 0 {
			return dst, b, false
		}
		b = b[w:]
		d += dd
		repeat = 1
		if dd == 0 {
			z, w := binary.Uvarint(b)
			if w <= 0 || z >= uint64(n) {
				return dst, b, false
			}
			b = b[w:]
			repeat = z + 1
		}
	}
	return dst, b, true
}

// RunEquals reports whether run, made by AppendRun, holds exactly the timestamps.
func RunEquals(run []byte, t []int64) bool {
	n, w := binary.Uvarint(run)
	if w <= 0 || n != uint64(len(t)) {
		return false
	}
	run = run[w:]
	first, w := binary.Varint(run)
	if w <= 0 || first != t[0] {
		return false
	}
	if len(t) == 1 {
		return true
	}
	u, w2 := binary.Uvarint(run[w:])
	if w2 <= 0 || int64(u) != t[1]-t[0] {
		return false
	}
	run = run[w+w2:]
	d := int64(u)
	for i := 2; i < len(t); {
		dd, w := binary.Varint(run)
		if w <= 0 {
			return false
		}
		run = run[w:]
		d += dd
		repeat := 1
		if dd == 0 {
			z, w := binary.Uvarint(run)
			if w <= 0 || z >= uint64(len(t)-i) {
				return false
			}
			run = run[w:]
			repeat += int(z)
		}
		for ; repeat > 0; repeat-- {
			if t[i]-t[i-1] != d {
				return false
			}
			i++
		}
	}
	return true
}
