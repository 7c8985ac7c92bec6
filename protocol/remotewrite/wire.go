package remotewrite

// Wire types of protobuf.
const (
	wireVarint = 0
	wireI64    = 1
	wireLen    = 2
	wireStart  = 3
	wireEnd    = 4
	wireI32    = 5
)

// uvarint reads a varint at b[i:] and returns it and the index behind it, or -1 when it is cut off or has more than ten
// bytes. Bits beyond the 64th are dropped, as the generated code drops them.
func uvarint(b []byte, i int) (v uint64, next int) {
	if i < len(b) && b[i] < 0x80 {
		return uint64(b[i]), i + 1
	}
	return uvarintSlow(b, i)
}

func uvarintSlow(b []byte, i int) (v uint64, next int) {
	for shift := uint(0); shift < 64; shift += 7 {
		if i >= len(b) {
			return 0, -1
		}
		c := b[i]
		i++
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v, i
		}
	}
	return 0, -1
}

// tag reads a field's number and wire type.
func tag(b []byte, i int) (field int32, wire int, next int) {
	v, next := uvarint(b, i)
	if next < 0 {
		return 0, 0, -1
	}
	return int32(v >> 3), int(v & 7), next
}

// span reads a length and returns the index at which the value begins and the one behind it, or end = -1.
func span(b []byte, i int) (start, end int) {
	n, start := uvarint(b, i)
	if start < 0 || n > uint64(len(b)-start) {
		return 0, -1
	}
	return start, start + int(n)
}

// skip returns the index behind the value of the given wire type at b[i:], or -1. Groups are skipped whole, without
// recursion, so that nesting costs no stack.
func skip(b []byte, i, wire int) int {
	depth := 0
	for {
		switch wire {
		case wireVarint:
			_, i = uvarint(b, i)
		case wireI64:
			i += 8
		case wireLen:
			_, i = span(b, i)
		case wireStart:
			depth++
		case wireEnd:
			depth--
		case wireI32:
			i += 4
		default:
			return -1
		}
		if i < 0 || i > len(b) || depth < 0 {
			return -1
		}
		if depth == 0 {
			return i
		}
		if _, wire, i = tag(b, i); i < 0 {
			return -1
		}
	}
}
