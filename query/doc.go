// Package query answers PromQL over the blocks of a catalog and over the sources
// that hold what is not in the catalog yet.
//
// [Queryable] implements storage.Queryable of Prometheus: the tenant comes from
// the context, the range from Querier. [NewEngine] makes Prometheus' own engine with
// every option of the language switched on, so that the answers are Prometheus'
// to the last bit; the heavy parts of a query are evaluated by query/columnar, to the same bits.
//
// # No gap
//
// A sample is in a writer's source until it is in the catalog, and then only in the catalog. A
// reading that looks at one and then at the other must not fall between. Each Select
// therefore goes in this order:
//
//  1. Roster, root and the catalogs of all days of the range are read in
//     parallel, once for a querier. The blocks found begin to be read at once.
//  2. Every rostered writer's source is asked. A source answers with all that was acknowledged before the
//     call and was not committed when the call began; the answer pins it.
//  3. Only then roster, root and catalogs are confirmed by conditional GET, beside the
//     reads of blocks that are still under way. Whatever the sources no longer
//     held has been committed before, so the confirmed catalogs list it; blocks that
//     are new are read too. Selects that were begun together, as the engine begins those of one
//     expression, wait for one another here and share one confirmation.
//
// What both sides hold is merged: for equal timestamps a source wins over a block, and a block
// of higher order over one of lower order. So a concurrent flush may show
// twice, which the merge removes, and never not at all. There is no clock in the decision.
//
// A missing catalog means no data only if a root that was read after the sources
// answered lacks the day. A block that has gone means a stale catalog: the catalogs are read again and
// the plan is made anew.
//
// # Deleted series
//
// Tombstones of the catalog hide samples of the blocks that were live when they were committed: those samples are dropped when a series is
// decoded, and a series of which nothing is left in the range is not in the answer. A block is read with the tombstones of the view that named it first: so a query that begins
// after a delete has returned does not see what was deleted. Sources are not masked: what they hold is newer than any tombstone, unless the delete could not reach its writer.
// Calls for series and for the names and values of labels honour tombstones too, at the cost of a look at the series in question where there are any.
//
// # Who must answer
//
// Every writer that the roster calls active must answer, else the query fails with
// model.ErrUnavailable naming it. With [WithPartialResponse] in the context, or for a
// detached Queryable (which is never given sources), the writer's log is read from the bucket as far as it was
// shipped, and a warning names the writer and the time reached. The log of a writer in
// mode object holds everything acknowledged, so it answers in full without a warning. Writers that
// closed cleanly or were adopted have everything in the catalog.
//
// A log is read beside the confirmation, from the generation after the one that the first reading of the roster calls
// released. What is released was committed before that reading, so the confirmed catalogs list it; all else is in segments. They
// outlive their release by an hour, and no query may last longer.
//
// # Damage
//
// A block that is damaged, of an unknown version, or gone though its catalog names it fails the query, with the object named. With [WithPartialResponse] it is
// left out, whole or in part, and a warning names it. What shows only while series are decoded is a warning of queries of [NewEngine]; whoever reads series by himself
// gets the error. Catalogs, roots and rosters are never done without.
//
// # Rollups
//
// A day of which raw samples have expired (catalog.Partition.Thinned) is answered from rollups of 5 minutes beside what raw samples are left; with [WithResolution] days that are in rollups
// entirely are answered from these alone. Windows are made samples, at their ends, of the aggregate that the function of a selection asks for, so that the function over whole windows has the
// answer that it had over raw samples; functions that no aggregate serves are answered from raw samples. Either is said in an info.
//
// # Account and budgets
//
// Every request of a query to the bucket passes its [Account] (a blob.Trace), which counts it and refuses one that would break a budget of
// Config.Limits with a [BudgetError]. [WithAccount] hands the account to a caller who wants the counts, an [Explain]; stages are counted
// by what waits for what, not by the clock, so they are the same on a fast store and on a slow one.
//
// # Beside samples
//
// Exemplars and metadata lie where samples lie, as rows of reserved series (model.ReservedLabel). Selections and label calls hide those; [Queryable.ExemplarQuerier] and
// [Queryable.Metadata] select them, by the same plans and within the same budgets.
//
// # Use
//
// A Queryable is safe for concurrent use, and so are its queriers; nothing is ever written. Close the Queryable
// after its last querier. Each Select works in goroutines of its own, bounded by the context it
// was given and waited for by the querier's Close; a failed or abandoned query leaves nothing behind.
//
// It does not cache samples or blocks (the reader of blocks it is given may), and
// decides nothing about retention.
package query
