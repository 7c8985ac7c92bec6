package live

import (
	"encoding/binary"
	"errors"
)

// errMessage: a message does not decode.
var errMessage = errors.New("message does not decode")

// fields walks over the fields of a protobuf message without a copy of it: the messages of Prometheus become many times as large when they are unmarshalled.
//
//	for f.next() { switch f.number { case 1: f.data … } }
//	return f.err
type fields struct {
	b []byte
	// number is that of the field, data what it has if it is of bytes, else value its number, whatever its type.
	number int
	value  uint64
	data   []byte
	err    error
}

// Types of fields.
const (
	varintField  = 0
	fixed64Field = 1
	bytesField   = 2
	fixed32Field = 5
)

// next goes to the next field.
func (f *fields) next() bool {
	if len(f.b) == 0 || f.err != nil {
		return false
	}
	tag := f.uvarint()
	f.number, f.value, f.data = int(tag>>3), 0, nil
	switch tag & 7 {
	case varintField:
		f.value = f.uvarint()
	case fixed64Field:
		if b := f.take(8); b != nil {
			f.value = binary.LittleEndian.Uint64(b)
		}
	case bytesField:
		f.data = f.take(f.uvarint())
	case fixed32Field:
		if b := f.take(4); b != nil {
			f.value = uint64(binary.LittleEndian.Uint32(b))
		}
	default:
		f.fail()
	}
	if f.number == 0 {
		f.fail()
	}
	return f.err == nil
}

func (f *fields) fail() {
	if f.err == nil {
		f.err = errMessage
	}
}

func (f *fields) uvarint() uint64 {
	v, n := binary.Uvarint(f.b)
	if n <= 0 {
		f.fail()
		return 0
	}
	f.b = f.b[n:]
	return v
}

// take returns the next n bytes, nil after an error and never otherwise.
func (f *fields) take(n uint64) []byte {
	if n > uint64(len(f.b)) {
		f.fail()
	}
	if f.err != nil {
		return nil
	}
	b := f.b[:n:n]
	f.b = f.b[n:]
	return b
}
