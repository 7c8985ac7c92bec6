package varve

import (
	"context"
	"fmt"

	"github.com/varvedb/varve/catalog"
)

// CreateSnapshot keeps the tenant's blocks as they are under a name. Unless skipHead, this writer and those that it can reach flush first, so that all that they had
// acknowledged before the call is in it; the ids of others are returned. The error wraps model.ErrConflict if the name is taken. Snapshots are
// finished, deleted and read with the methods of [Reader.Catalog], asked with query.WithSnapshot, restored with lifecycle.Restore.
func (db *DB) CreateSnapshot(ctx context.Context, tenantName, name string, skipHead bool) (s *catalog.Snapshot, unreached []string, err error) {
	if !skipHead {
		roster, err := db.catalog.Roster(ctx, nil)
		if err != nil {
			return nil, nil, fmt.Errorf("create snapshot %s: %w", name, err)
		}
		unreached = FlushWriters(ctx, roster, db.sources.opts.HTTP, map[string]func(context.Context) error{db.Writer(): db.Flush})
	}
	s, err = db.catalog.CreateSnapshot(ctx, tenantName, name)
	return s, unreached, err
}
