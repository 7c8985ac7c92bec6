// Package cache keeps what was read from the bucket, so that it need not be read again.
//
// [Parsed] holds decoded objects in memory within a budget of bytes: a map that forgets. What is put in may be refused or gone at the next
// look, so a caller always passes on what it has just made and never counts on finding it again. It decides nothing about
// freshness; callers revalidate.
//
// [Bucket] holds bytes of immutable objects, which never go stale. It has two tiers. In memory lie stretches of objects as they were asked for,
// found again by any request that overlaps them; two that miss the same bytes at one time make one request. On disk, if there is a directory, lie
// copies of whole objects. An object is copied in the background, under [Bucket.Run], once as much was spent on parts of it as it costs whole, each
// request counted as 64 KiB. So a query never waits for a copy, reads no byte more for it, and a process that asks once copies
// nothing; what a copy reads is counted in metrics of its own.
//
// A copy counts only when it is complete: it is written under another name, checked against the object's checksum, synced and renamed. Copies are
// read, not mapped, and each read checks the sums of what it touches: a copy that was damaged, cut short or removed, at whatever moment, costs the
// query that meets it a request to the bucket and nothing else, and is dropped. (Mapped pages would save a copy of the bytes: 3.5 ms of CPU
// for 49 MB that take 53 ms to decompress. For that a file that shrinks would kill whoever is decompressing it, at a time when the
// query has nothing left to fall back on.) Evicted copies are unlinked and never truncated; who is reading one reads on. A directory belongs
// to one process at a time.
//
// Everything is safe for concurrent use. A Parsed has goroutines of its own from New on, which Close ends; a Bucket has none but those of
// Run. Copies survive the process, and a crash at any moment leaves complete copies and files that the next start removes.
// Nothing here is ever the only place of anything: the directory may be deleted at any time.
package cache
