package parquet

import (
	"encoding/binary"
	"fmt"

	"github.com/varvedb/varve/model"
)

// decoder takes fields off b; after the first fault everything is zero and bad is set.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) fail() { d.b, d.bad = nil, true }

func (d *decoder) uvarint() uint64 {
	if len(d.b) > 0 && d.b[0] < 0x80 {
		v := uint64(d.b[0])
		d.b = d.b[1:]
		return v
	}
	v, w := binary.Uvarint(d.b)
	if w <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[w:]
	return v
}

func (d *decoder) varint() int64 {
	u := d.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// number reads one that is at most limit.
func (d *decoder) number(limit int64) int64 {
	v := d.uvarint()
	if v > uint64(limit) {
		d.fail()
		return 0
	}
	return int64(v)
}

func (d *decoder) take(n int) []byte {
	if n > len(d.b) {
		d.fail()
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) u8() byte {
	if v := d.take(1); v != nil {
		return v[0]
	}
	return 0
}

func corrupt(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, model.ErrCorrupt)...)
}
