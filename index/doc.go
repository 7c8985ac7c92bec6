// Package index is the label index: it finds the series of a block that match matchers.
//
// One index section format serves every block format, byte for byte. It does not know what a series' data looks like: a
// block gives it an opaque locator per series and an opaque prefix per series page, and gets them back.
//
// [Builder] makes a section of series added in order. [ParsePage] parses a series page: a [Page] is immutable and may be kept and shared by
// any number of scans, which call back for the series that match ([Page.Scan]) or walk them one by one ([Page.Cursor]). [ParseHead], [FindPostings]
// and [Narrow] answer from postings where scanning would be too much. What to fetch and when is the business of
// package blocks: nothing here does I/O. A Builder is not safe for concurrent use, everything else keeps no state.
//
// # Format, version 2
//
// The section is a run of pages as package page frames them: series pages, then, unless they are left out, the postings head and postings pages.
// Order of series: by metric name, then labels.Compare; strictly ascending. A series' ordinal is its place in that order, from 0. Varints
// are LEB128; strings are a uvarint length and bytes. The version of the section is that of the block's Meta; a change
// of a page's content takes a new page kind. (Version 1 had kinds S and H and was in no release; it is not read.)
//
// Series page (kind L), self-contained. Series share most of what they say with others: a pattern is what names a series has and
// which of their values differ from the last one that name had in the page; values of a name are numbered by first use.
//
//	series        uvarint, at least 1
//	prefix        string, opaque
//	names         uvarint, then per name, by first use: string; number of its values, bytes of its references, bytes of its text: uvarint each
//	patterns      uvarint, then per pattern, by first use: number of labels uvarint, then per label, ascending by name: number of the
//	              name << 1 | 1 if the value differs from the last one of that name, as it does where there was none
//	uses          length uvarint, then per series the number of its pattern, uvarint
//	references    per name, then per use of a differing value: its number less that of the last one less 1, zigzag; before the first use that is −1
//	length        uvarint, of all values in full
//	sizes         length uvarint, then per name, per value: bytes shared with the value before it, bytes of its own, uvarint each
//	text          per name, per value: those bytes
//	locators      per series: string, opaque; to the end of the page
//
// Pages do not grow with the chunks of their series: they are cut at 8 KiB, before compression, with the group. A group is a run of
// series of one page whose data lies together, and has no name in the page.
//
// Where values have a number, a scan asks a matcher once for each value and not for each series, builds no value that is not
// asked for, and passes over a page that lacks the value of an equality at once. Values by column are also what
// zstd compresses best: front-coded by series they were 10 % larger on metrics of a host, and 40 % on those of 200 targets.
//
// Postings head (kind D): what a reader of postings needs first.
//
//	groups        uvarint, then per group: length uvarint of its series page if it is the first there, else 0; series uvarint; zigzag difference of chunk offsets (the first absolute)
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
// Postings are left out, head and all, if the series pages are at most 64 KiB and the postings were more than half of that. Who would ask them reads all
// series pages, which is one GET of no more than a GET may read in vain, and a stage less. They pay where one value belongs to many series; a
// block of one process, whose metrics and values are mostly its own, has postings as large as its series pages.
//
// Fence keys (the first key of each postings page, cut to MaxFence bytes a part) and the thin directory ([DirEntry]) live in the block's Meta.
package index
