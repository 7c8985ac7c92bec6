package catalog

import (
	"context"
	"fmt"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/model"
)

// PutRebuiltPartition writes a catalog that was made from scratch, in place of an object of the version, "" for none. It is for repair only: nothing of
// what was there is looked at, so what a commit made of it since must make the version differ: the error wraps model.ErrConflict then. After any
// other error it may have been written or not.
func (s *Store) PutRebuiltPartition(ctx context.Context, p *Partition, over blob.Version) error {
	return putRebuilt(ctx, s, partitionObject(p.Tenant, p.Day), p.clone(), over)
}

// PutRebuiltRoot is PutRebuiltPartition of a root.
func (s *Store) PutRebuiltRoot(ctx context.Context, r *Root, over blob.Version) error {
	return putRebuilt(ctx, s, rootObject(r.Tenant), r.clone(), over)
}

// PutRebuiltRoster is PutRebuiltPartition of the roster.
func (s *Store) PutRebuiltRoster(ctx context.Context, r *Roster, over blob.Version) error {
	return putRebuilt(ctx, s, rosterObject(), r.clone(), over)
}

func putRebuilt[S state[S]](ctx context.Context, s *Store, o object[S], next S, over blob.Version) error {
	nonce, err := s.random()
	if err != nil {
		return err
	}
	h := next.head()
	h.Trail = nil
	h.advance(Nonce(nonce))
	cur := o.empty()
	cur.setStored(over, over == "", HardLimitBytes)
	if err := s.write(ctx, o.key, cur, next); err != nil {
		return fmt.Errorf("put rebuilt %s: %w", o.key, err)
	}
	return nil
}

// EnterDay puts a day into the tenant's root, which is made if there is none.
func (s *Store) EnterDay(ctx context.Context, tenantName string, day model.Day) error {
	return s.enterDay(ctx, tenantName, day)
}
