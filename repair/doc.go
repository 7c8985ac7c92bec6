// Package repair looks at a bucket from the outside: [Check] finds what is damaged, missing, left over or inconsistent (varve fsck), and [Rebuild]
// makes catalogs, roots and the roster anew from the blocks and logs that are there (varve rebuild, promise P8).
//
// A [Finding] names the object, how bad it is and what to do. Both take an *[Options], list the bucket, hold what a partition lists and not more,
// and may run while everything else does: what changes under them is read again before it counts as a finding. Check changes nothing.
// Rebuild writes only what is missing or damaged, by compare-and-swap, with a copy of what it replaces beside it; of blocks and logs it changes nothing. How it
// chooses blocks and watermarks is in docs/design/0011-rebuild.md.
//
// Several may run at once, and one that was interrupted is begun again; there is nothing to close.
package repair
