// Package chunk is the encoding of samples: of the values of one series over a stretch of time (a chunk),
// and of the timestamps that several series share (a run).
//
// The codec of a chunk is chosen by its content ([Encoder.Append]): constants; decimals, which are what
// people and programs mostly measure and which become small integers; XOR for other floats; and a mixed codec that holds
// native histograms as opaque bytes. All are exact to the bit: NaN payloads, staleness markers, negative zeros, infinities
// and denormals come back as they went in.
//
// A chunk knows neither its timestamps nor its number of values; both come from the run it refers
// to. It has no checksum either: chunks live in pages, which do (package page).
// An Encoder is not safe for concurrent use; decoding functions keep no state. Nothing here does I/O.
//
// # Format, version 1
//
// The first byte names the codec and its flags; a reader refuses codecs and flags that it does not know with model.ErrVersion.
// Varints are LEB128 as in encoding/binary, "zigzag" marks signed ones. Integers and floats of fixed width are little endian.
//
//	constant   0x00, value f64                     n equal values
//	           0x10, k u8, m zigzag                the same, value m / 10^k
//	decimal    0x01 | flags, k u8,
//	             [scale]       g uvarint           residuals are multiples of g
//	             [exceptions]  count uvarint, then per exception: distance to the one before uvarint (first: index), value f64
//	             m0 zigzag
//	             [base]        least delta zigzag  (in units of g)
//	             [second]      d1 zigzag           first delta (in units of g)
//	             residuals                         n-1, or n-2 with [second]
//	xor        0x02, first value f64, bits         most significant bit first, padded with zeros to a byte
//	mixed      0x03, histograms uvarint,
//	             bitmap, 1 bit a sample, least significant first: 1 is a histogram
//	             floats: length uvarint, chunk     only if there are floats
//	             lengths of the histograms uvarint each, then their bytes
//
// Flags of decimal: 0x10 base, 0x20 second, 0x40 scale, 0x80 exceptions. The value of sample i is float64(m[i]) / 10^k, k ≤ 15; a value qualifies iff that division
// gives its very bits and |m| ≤ 2^53. Residuals are byte-aligned varints, because zstd runs over the page afterwards and finds in bytes what it would not
// find in bits: zigzag(delta/g) without flags, (delta/g − base) with [base], zigzag of the second difference with [second]. An
// exception (a staleness marker among decimals) repeats the m before it, or the first fitting m after it, and its true value stands in the list.
//
// Bits of xor, per value after the first, x being its bits XOR those of the value before: 0 for x = 0; 10 and the
// window's bits if the window used last covers x; else 11, leading zeros (5 bits, at most 31), length − 1 (6 bits), the bits.
//
// A run is: count uvarint, first timestamp zigzag, then (count > 1) first delta uvarint, then count − 2 second differences as zigzag
// varints, where a 0 is followed by a uvarint with the number of further zeros. Timestamps ascend strictly; anything else is corrupt.
package chunk
