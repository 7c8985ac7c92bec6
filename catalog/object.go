package catalog

import (
	"context"
	"errors"
	"fmt"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/model"
)

// storable is a state as the codec and the writer see it.
type storable interface {
	head() *Head
	kind() kind
	appendPayload(b []byte) []byte
	stored() (v blob.Version, missing bool, bytes int)
	setStored(v blob.Version, missing bool, bytes int)
}

// state is a pointer type whose objects are changed by compare-and-swap.
type state[S any] interface {
	storable
	comparable
	clone() S
}

// object is one key and how to read what lies there.
type object[S state[S]] struct {
	key    string
	kind   kind
	empty  func() S
	decode func(d *decoder) S
}

func partitionKey(tenant string, day model.Day) string { return "t/" + tenant + "/c/" + day.String() }

func partitionObject(tenant string, day model.Day) object[*Partition] {
	return object[*Partition]{
		key:    partitionKey(tenant, day),
		kind:   kindPartition,
		empty:  func() *Partition { return &Partition{Tenant: tenant, Day: day} },
		decode: func(d *decoder) *Partition { return d.partition(tenant, day) },
	}
}

func rootObject(tenant string) object[*Root] {
	return object[*Root]{
		key:    "t/" + tenant + "/root",
		kind:   kindRoot,
		empty:  func() *Root { return &Root{Tenant: tenant} },
		decode: func(d *decoder) *Root { return d.root(tenant) },
	}
}

func rosterObject() object[*Roster] {
	return object[*Roster]{
		key:    "w/roster",
		kind:   kindRoster,
		empty:  func() *Roster { return &Roster{} },
		decode: func(d *decoder) *Roster { return d.roster() },
	}
}

// mustRead is read for a root or the roster, whose absence says that there is no data at all: a refusal for lack of
// permission, which stores without list permission also give for what does not exist, is an error here. A commit takes it for absence, and the condition
// of its write decides.
func mustRead[S state[S]](ctx context.Context, s *Store, o object[S], prev S) (S, error) {
	return readObject(ctx, s, o, prev, true)
}

// read reads the object, only for a change if prev is a state that exists.
func read[S state[S]](ctx context.Context, s *Store, o object[S], prev S) (S, error) {
	return readObject(ctx, s, o, prev, false)
}

func readObject[S state[S]](ctx context.Context, s *Store, o object[S], prev S, must bool) (S, error) {
	var none S
	var since blob.Version
	if prev != none {
		since, _, _ = prev.stored()
	}
	data, v, modified, err := s.bucket.GetIf(ctx, o.key, since)
	switch {
	case must && blob.IsDenied(err):
		return none, fmt.Errorf("read %s, which may be missing or forbidden: %w", o.key, err)
	case errors.Is(err, model.ErrNotFound):
		if prev != none {
			if _, missing, _ := prev.stored(); missing {
				return prev, nil
			}
		}
		st := o.empty()
		st.setStored("", true, 0)
		return st, nil
	case err != nil:
		return none, fmt.Errorf("read %s: %w", o.key, err)
	case !modified && since != "":
		return prev, nil
	}
	d, err := s.codec.open(data, o.kind)
	if err != nil {
		return none, fmt.Errorf("read %s: %w", o.key, err)
	}
	st := o.decode(d)
	if err := d.finish(); err != nil {
		return none, fmt.Errorf("read %s: %w", o.key, err)
	}
	st.setStored(v, false, len(data))
	return st, nil
}

func (p *Partition) head() *Head { return &p.Head }
func (p *Partition) kind() kind  { return kindPartition }
func (p *Partition) stored() (blob.Version, bool, int) {
	return p.Version, p.Missing, p.Bytes
}

func (p *Partition) setStored(v blob.Version, missing bool, bytes int) {
	p.Version, p.Missing, p.Bytes = v, missing, bytes
}

func (r *Root) head() *Head { return &r.Head }
func (r *Root) kind() kind  { return kindRoot }
func (r *Root) stored() (blob.Version, bool, int) {
	return r.Version, r.Missing, r.bytes
}

func (r *Root) setStored(v blob.Version, missing bool, bytes int) {
	r.Version, r.Missing, r.bytes = v, missing, bytes
}

func (r *Roster) head() *Head { return &r.Head }
func (r *Roster) kind() kind  { return kindRoster }
func (r *Roster) stored() (blob.Version, bool, int) {
	return r.Version, r.Missing, r.bytes
}

func (r *Roster) setStored(v blob.Version, missing bool, bytes int) {
	r.Version, r.Missing, r.bytes = v, missing, bytes
}
