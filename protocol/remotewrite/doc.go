// Package remotewrite decodes Prometheus remote write requests: bytes in,
// [model.Batch] out. No sockets, no storage.
//
// [Negotiate] judges the headers, [DeclaredSize] tells from the first bytes of a body
// how much memory decoding will take, and a [Decoder] turns the body into a
// [Request]. Both versions are spoken, each a snappy block around a protobuf message: 1.0 (prometheus.WriteRequest)
// and 2.0 (io.prometheus.write.v2.Request).
//
// The messages are walked by hand, because that walk decides what a write
// costs: the labels of a series are not parsed but kept as the bytes that
// arrived (the key of the series), and the samples of all series go into one
// array that is used again by the next request. In 2.0 a series refers to symbols, by numbers that mean something in one request
// only; its key is these symbols as they stand, one behind the other, copied. What is decoded equals what the
// generated code of prompb decodes; fuzz tests hold them against each other.
//
// Nothing is allocated on the word of the sender: the declared size is checked against the limits and
// against what snappy could at most have made of the bytes that really arrived.
//
// A fault of the framing (snappy, protobuf) refuses the request as a whole, with
// the byte at which it lies; a fault of one series (no metric name, which the protocol demands, too many
// labels, an impossible native histogram, a reference to a symbol that is not there) drops that series and is listed in Request.Rejected. Names, duplicate
// labels and timestamps are judged by the store, not here. Exemplars and metadata become rows as they are stored, see model.
//
// A Decoder is safe for concurrent use. A Request belongs to one goroutine until its
// Release; its batch aliases the Request's buffers and must not be used after that.
package remotewrite
