// Package index is the label index: it finds the series of a block that match matchers.
//
// One index section format serves every block format, byte for byte. It does not know what a series' data looks like: a
// block gives it an opaque locator per series and an opaque prefix per series page, and gets them back.
//
// [Builder] makes a section of series added in order. [ScanPage] reads a series page and calls back for the series
// that match; [ParseHead], [FindPostings] and [Narrow] answer from postings where scanning would be too much. What to fetch and when
// is the business of package blocks: nothing here does I/O. A Builder is not safe for concurrent use, everything else keeps no state.
//
// # Format, version 1
//
// The section is a run of pages as package page frames them: series pages, then the postings head, then postings pages.
// Order of series: by metric name, then labels.Compare; strictly ascending. A series' ordinal is its place in that order, from 0. Varints
// are LEB128; strings are a uvarint length and bytes. The version of the section is that of the block's Meta; a change
// of a page's content takes a new page kind.
//
// Series page (kind S), self-contained, columns one after the other so that zstd finds like beside like:
//
//	series        uvarint, at least 1
//	prefix        string, opaque
//	5 column lengths uvarint: shapes, masks, lengths, text, locators
//	shapes        per series: 0 the shape (list of label names) of the series before; s > 0 shape number s of this page; the next unused number defines a
//	              shape: count uvarint, then per name (ascending) its number in this page; the next unused number defines a name: string
//	masks         per series: one bit per label of the shape in bytes of 8, least significant first: 1 if the value differs from the last one of that name in this page
//	lengths       per such value: bytes shared with that last value, bytes of its own, uvarint each
//	text          those bytes
//	locators      per series: string, opaque
//
// Postings head (kind H): what a reader of postings needs first.
//
//	series pages  uvarint, then per page: length uvarint, series uvarint, zigzag difference of chunk offsets (the first absolute)
//	label names   uvarint, then per name, ascending: shared with the name before, rest as string, number of values uvarint
//
// Postings page (kind P): entries (name, value, list of ordinals), ascending by (name, value), keys unique over all pages.
//
//	4 column lengths uvarint: keys, text, sizes, lists
//	keys          per entry: 0, or length + 1 of its name if it differs from that of the entry before (the first entry has
//	              one); bytes its value shares with the value before (none after a new name); bytes of its own; uvarint each
//	text          names and values, those bytes
//	sizes         per entry: bytes of its list, uvarint, at least 1
//	lists         tokens: (gap − 1) << 1, or (gap − 1) << 1 | 1 and uvarint further repeats − 1 of that gap. Gaps count from −1.
//
// Fence keys (the first key of each postings page, cut to MaxFence bytes a part) and the thin directory live in the block's Meta.
package index
