package varve

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/cluster/wire"
	"github.com/varvedb/varve/lifecycle"
	"github.com/varvedb/varve/model"
)

// DeleteSeries deletes the samples within r, both ends included, of the tenant's series that one of the selectors matches. This writer and those
// that it can reach flush first; when the call returns, no query sees any more what they had acknowledged before it. What was deleted leaves the bucket when
// a [lifecycle.Lifecycle] has worked on it, see [DB.EraseReport]. The call may be repeated with the id it returns, in the error too; "" begins a new one.
func (db *DB) DeleteSeries(ctx context.Context, tenantName string, match []string, r model.TimeRange, id string) (lifecycle.Deleted, error) {
	req, err := lifecycle.NewDeleteRequest(tenantName, match, r, id)
	if err != nil {
		return lifecycle.Deleted{ID: id}, err
	}
	d := lifecycle.Deleter{Catalog: db.catalog, Now: db.checked.now, Flush: func(ctx context.Context, roster *catalog.Roster) []string {
		return FlushWriters(ctx, roster, db.sources.opts.HTTP, map[string]func(context.Context) error{db.Writer(): db.Flush})
	}}
	return d.Delete(ctx, req)
}

// CleanTombstones asks all workers on the bucket to remove from it what was deleted of the tenant with their next look, without waiting for a merge to come by.
func (db *DB) CleanTombstones(ctx context.Context, tenantName string) error {
	return db.catalog.AskToClean(ctx, tenantName)
}

// EraseReport says where in the bucket the samples still are that a delete has hidden. It needs the right to list.
func (db *DB) EraseReport(ctx context.Context, tenantName, id string) (*lifecycle.Erasure, error) {
	return lifecycle.ReportErasure(ctx, db.bucket, db.catalog, tenantName, id)
}

// flushTimeout is how long one writer may take to flush before it counts as one that cannot be reached.
const flushTimeout = 2 * time.Minute

// FlushWriters has all active writers of the roster flush, at their addresses or by a function of own, and returns the ids of those that did not.
func FlushWriters(ctx context.Context, roster *catalog.Roster, hc *http.Client, own map[string]func(context.Context) error) (unreached []string) {
	if hc == nil {
		hc = wire.NewHTTPClient()
		defer hc.CloseIdleConnections()
	}
	var mu sync.Mutex // guards unreached
	var all sync.WaitGroup
	for _, w := range roster.Writers {
		if w.State != catalog.Active {
			continue
		}
		all.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, flushTimeout)
			defer cancel()
			var err error
			if flush := own[w.ID]; flush != nil {
				err = flush(ctx)
			} else {
				err = wire.Flush(ctx, hc, w.ID, w.Address)
			}
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				unreached = append(unreached, w.ID)
			}
		})
	}
	all.Wait()
	return unreached
}
