// Package planted names the bugs that the simulator must find. In an ordinary build On is the
// constant false and the compiler drops every trace of them; with the build tag
// "planted" the simulator's own test switches one on at a time and fails unless
// the simulation then breaks a promise.
package planted

// Bug names one way of getting the protocol wrong.
type Bug int

// The bugs, in the words of the protocol.
const (
	None Bug = iota
	// CommitOutOfOrder commits generation g+1 of a partition before g.
	CommitOutOfOrder
	// CommitBeforeEndMark commits a block before its generation's end mark is in the bucket.
	CommitBeforeEndMark
	// AppendToReplayed goes on appending to the generation that was replayed at start.
	AppendToReplayed
	// ReleaseBeforeCommit lets a generation's log go before its blocks are in the catalog.
	ReleaseBeforeCommit
	// AdoptWithoutFence flushes a dead writer's log without a fence at its end.
	AdoptWithoutFence
	// RefusedMeansFailed takes a refused compare-and-swap for a failure without reading back.
	RefusedMeansFailed
	// ReplaceUnchecked replaces blocks without checking that all of them are live.
	ReplaceUnchecked
	// MergeNotAdjacent merges blocks past one that lies between them in order and overlaps them in time.
	MergeNotAdjacent
	// MaskAfterMerge applies tombstones to what a merge has made of all inputs, instead of to each input before.
	MaskAfterMerge
	// IgnoreDropped lets a block become live whose id was dropped, so that its object is deleted under it.
	IgnoreDropped
	// SkipFlushed adds a block without looking whether the writer's generation was flushed before.
	SkipFlushed
	// DeleteBeforeDrop deletes objects before the commit that drops their ids.
	DeleteBeforeDrop
	// RootBeforeCatalog has collection go by a root that was read before the catalog, in which a snapshot is missing that read the same blocks.
	RootBeforeCatalog
)
