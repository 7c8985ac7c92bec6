package varve

import "github.com/varvedb/varve/lifecycle"

// Lifecycle returns a worker that looks after the whole bucket, not only after what this DB writes: it merges small blocks. It starts
// nothing: call its Run, beside that of the DB, in at least one process on the bucket; more do no harm. It needs the right to list
// the bucket.
//
// The bucket and the catalog of c are set; cfg may be nil.
func (db *DB) Lifecycle(cfg *lifecycle.Config, c lifecycle.Components) (*lifecycle.Lifecycle, error) {
	c.Bucket, c.Catalog = db.bucket, db.catalog
	return lifecycle.New(cfg, c)
}
