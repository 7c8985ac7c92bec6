// Package wire is what Varve's processes say to each other: today one question,
// "which series do you hold that are not in the catalog yet?".
//
// [NewHandler] answers it for any [model.Source]; a [Client] is a model.Source that asks a handler
// at a writer's address, so that a querier cannot tell its own memtable from one across the network.
//
// Both are safe for concurrent use and start no goroutines of their own. The handler holds the source's selection
// until the last byte is written. The client holds the whole answer in memory, up to a limit, and closes
// its connection before it returns; a Selection needs no connection. Nothing here survives anything: there is no state.
//
// # Request
//
//	POST /internal/v1/select
//	Content-Type: application/json
//	{"version":1,"tenant":"default","minMs":0,"maxMs":9,"matchers":[{"type":"=","name":"__name__","value":"up"}]}
//
// type is one of = != =~ !~. An unknown field is an error: a newer querier must not be half understood.
//
// # Answer
//
// Status 200 and Content-Type application/x-varve-select; anything else is an error with a sentence as its body. The body:
//
//	magic    4 bytes  "VSEL"
//	version  1 byte   1
//	frames, each:
//	  length  4 bytes, little endian: of the payload, 1 to 16 MiB
//	  crc     4 bytes, little endian: CRC-32C of the payload
//	  payload
//
// The first byte of a payload is its kind, and what follows (numbers are unsigned LEB128 varints unless it says zigzag;
// a string is its length and its bytes):
//
//	1 hello    string writer: the id that the source answers for; always the first frame
//	2 series   pieces, each to the end of the payload:
//	             flags    1 byte: 1 = more samples of the piece before it (no labels follow), 2 = it has histograms
//	             labels   count, then name and value strings; sorted by name
//	             samples  count, then per sample the zigzag difference to the timestamp before it (the first: to 0), then
//	                      per sample the float's 8 bytes, little endian, then with flag 2 per sample
//	                      a number h: 0 = a float, else h−1 bytes of a histogram
//	3 warning  string
//	4 error    string kind (invalid, limit, notfound, conflict, unavailable, corrupt, version or other), string
//	           message; nothing follows
//	5 end      number of series; nothing follows
//
// A body without end or error was cut off and is an error: the answer of a process that dies must not look like a short one. Series come
// sorted by labels, each once; the client checks it. A reader refuses a version it doesn't know with model.ErrVersion;
// version N+1 of Varve will read the answers of version N.
//
// Samples are not compressed: they cross one local network once, and the CPU of an ingester is the scarcer good.
package wire
