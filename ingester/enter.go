package ingester

import (
	"context"
	"errors"
	"fmt"

	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// EnterStep brings the roster up to date once after a start: it probes the bucket, registers the writer as active, and looks for a
// fence at the next segment to ship. Before it has succeeded, a new writer, and one that had ended cleanly, accept no writes.
// It reports whether it got something done; a writer that was adopted meanwhile makes it fail until FenceStep has moved it.
func (i *Ingester) EnterStep(ctx context.Context) (progress bool, err error) {
	if err := i.control.take(ctx); err != nil {
		return false, err
	}
	defer i.control.give()
	return i.enter(ctx)
}

// enter does the work of EnterStep. The caller has the turn.
func (i *Ingester) enter(ctx context.Context) (bool, error) {
	due, w, err := i.mustEnter()
	if !due || err != nil {
		return false, err
	}
	if err := i.probe(ctx, w.id); err != nil {
		return false, err
	}
	// The file knows that the log ships before the roster lets anybody put a fence into it.
	ships := w.ships.Load()
	if ships {
		if err := i.changeFile(func(f *writerFile) { f.Shipping = true }); err != nil {
			return false, fmt.Errorf("enter roster: %w", err)
		}
	}
	if err := i.register(ctx, w.id, ships); err != nil {
		if errors.Is(err, model.ErrConflict) && i.wasAdopted(ctx, w.id) {
			i.fencedAt(w, position{})
			return false, errFenced
		}
		return false, err
	}
	if err := i.changeFile(func(f *writerFile) { f.Registered = true }); err != nil {
		return false, fmt.Errorf("enter roster: %w", err)
	}
	if ships {
		if err := i.locateWithTurn(ctx, w); err != nil {
			return false, err
		}
	}
	i.mu.Lock()
	i.entered = true
	i.mu.Unlock()
	i.c.Logger.Info("writer is in the roster", "writer", w.id, "mode", i.cfg.Mode, "shipping", ships)
	i.builtWake.signal()
	i.shipWake.signal()
	return true, nil
}

// wasAdopted asks the roster itself: a conflict alone may be that of a call whose answer was lost.
func (i *Ingester) wasAdopted(ctx context.Context, id string) bool {
	roster, err := i.c.Catalog.Roster(ctx, nil)
	if err != nil {
		return false // the next try asks again
	}
	w := roster.Find(id)
	return w != nil && w.State == catalog.Adopted
}

// mustEnter reports whether the roster has to be brought up to date, and switches shipping on where that is wanted and possible.
//
// A generation that was ended without shipping may be committed without its end mark in the bucket, and a fence before it would make its
// samples move to a new id although they are in the catalog. So shipping begins when all such generations are released.
func (i *Ingester) mustEnter() (bool, *writer, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	w := i.w
	if w.fenced {
		return false, w, errFenced
	}
	if i.wantsShipping && !w.ships.Load() && len(w.older) == 0 {
		w.ships.Store(true)
		i.entered = false
	}
	return !i.entered, w, nil
}

// probe makes sure once that the bucket heeds conditions.
func (i *Ingester) probe(ctx context.Context, id string) error {
	i.mu.Lock()
	probed := i.probed || i.cfg.SkipProbe
	i.mu.Unlock()
	if probed {
		return nil
	}
	if err := i.c.Bucket.Probe(ctx, id); err != nil {
		return err
	}
	i.mu.Lock()
	i.probed = true
	i.mu.Unlock()
	return nil
}

// register creates the writer's identity object and its roster entry. An adopted writer gets model.ErrConflict.
func (i *Ingester) register(ctx context.Context, id string, ships bool) error {
	if err := i.c.Catalog.PutWriterID(ctx, id); err != nil {
		return fmt.Errorf("enter roster: %w", err)
	}
	_, err := i.c.Catalog.Register(ctx, catalog.Writer{
		ID: id, Address: i.cfg.Address, Mode: string(i.cfg.Mode), Shipping: ships, StartedMs: i.nowMs(),
	})
	if err != nil {
		return fmt.Errorf("enter roster: %w", err)
	}
	return nil
}

func (i *Ingester) locateWithTurn(ctx context.Context, w *writer) error {
	if err := i.shipping.take(ctx); err != nil {
		return err
	}
	defer i.shipping.give()
	return i.locate(ctx, w)
}

// AdoptStep adopts the writers that this one replaces (Config.Replaces), each once.
func (i *Ingester) AdoptStep(ctx context.Context) (progress bool, err error) {
	if err := i.control.take(ctx); err != nil {
		return false, err
	}
	defer i.control.give()
	var errs []error
	for _, dead := range i.cfg.Replaces {
		i.mu.Lock()
		skip := i.adopted[dead] || !i.file.Registered || dead == i.w.id
		i.mu.Unlock()
		if skip {
			continue
		}
		_, err := adopt(ctx, dead, i.Writer(), i.c)
		if errors.Is(err, model.ErrNotFound) || errors.Is(err, model.ErrInvalid) {
			// A writer that is in no roster has acknowledged nothing, and one that ships nothing cannot be adopted: no later try helps.
			i.c.Logger.Error("replaced writer cannot be adopted", "writer", dead, "err", err)
		} else if err != nil {
			errs = append(errs, err)
			continue
		}
		i.mu.Lock()
		i.adopted[dead] = true
		i.mu.Unlock()
		progress = true
	}
	return progress, errors.Join(errs...)
}
