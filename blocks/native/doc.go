// Package native is the layout of the hot block (.vb): chunks in compressed pages, shared runs of timestamps, the index
// section. [Writer] streams one out; [Locate], [ParseRuns] and [ParseChunkPage] take one apart. It knows neither
// bucket nor catalog, nor the block's Meta and footer, which package blocks adds; there the whole of the object is described.
//
// A Writer is not safe for concurrent use and writes nothing that it could not finish: the caller discards the
// output if any call fails. Parsed things are immutable and may be shared.
//
// # Format, version 2
//
//	magic           8 bytes "varveVB" 0x02, the last one the version of the layout
//	chunk pages     kind C
//	run pages       kind R, at most 256 KiB together
//	index section   see package index: series pages (L), and, if they pay, postings head (D) and postings pages (P)
//	footer          Meta and trailer, see package blocks
//
// All pages are framed and checksummed by package page. A reader refuses other versions of the magic with model.ErrVersion. (Version 1, which no
// release wrote, differs in the index section and in that a series page was one group.)
//
// Series and their chunks come in groups. A group ends with a chunk page at 64 KiB of compressed chunks, so that to fetch its chunks on suspicion is
// cheap; the directory has an entry for each group while that is few enough. A series page has as many groups as it takes to fill it.
//
// Chunk page, raw:
//
//	runs            count uvarint, length of each uvarint
//	chunks          count uvarint, length of each uvarint
//	the runs, then the chunks (package chunk), one after the other
//
// Run page, raw: count uvarint, then per run its length uvarint and its bytes. Runs are numbered from 0 across the pages.
//
// Prefix of a series page: offset uvarint of the first chunk page that its series use, count uvarint of these pages, the length
// of each uvarint. They follow one another, and no other series page uses them.
//
// Locator of a series: number of chunks uvarint, then per chunk:
//
//	u uvarint       bit 0: the run lies in the chunk page; bit 1: the chunk begins the next chunk page; the rest: zigzag difference of the run's
//	                number to that of the last chunk before it in this series page of the same kind (for runs in
//	                chunk pages: in the same chunk page), at first 0
//	minT, span      only with bit 0: zigzag difference of the first timestamp to that of the last such chunk in the
//	                series page (at first 0); uvarint from there to the last timestamp
//
// Chunks of a page are numbered by this order, so a locator holds neither number nor offset: a reader walks the locators of a
// series page from its start, which is cheap beside decompressing it.
//
// A series of more than 4096 samples is cut into chunks at multiples, from the epoch on, of a duration chosen from a fixed ladder, so that
// series with gaps share the runs of the stretches in which they have none.
package native
