package page

// Compress appends raw to dst as one zstd frame without a head, for formats that have their own.
func (e *Encoder) Compress(dst, raw []byte) []byte { return e.z.EncodeAll(raw, dst) }

// Inflate decompresses one zstd frame of exactly n ≤ MaxRaw bytes, into the memory of dst if that is large enough.
// Errors wrap model.ErrCorrupt.
func Inflate(dst, frame []byte, n int) ([]byte, error) { return inflate(dst, frame, n) }
