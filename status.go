package varve

import "github.com/varvedb/varve/ingester"

// Status is what the DB tells an operator of its writing side.
func (db *DB) Status() ingester.Status { return db.ingester.Status() }
