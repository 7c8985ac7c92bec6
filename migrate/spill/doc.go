// Package spill puts samples that come in any order into the order of blocks, with bounded memory: what does not fit is written to local disk as sorted runs,
// which are merged when they are read (external sort, Knuth, The Art of Computer Programming, volume 3, section 5.4).
package spill
