package ingester

import (
	"context"
	"fmt"
)

// settle tells the requests up to the ticket what became of shipping their records. A failure that is only that of the
// shipping request's own context fails nobody else: the next one tries again.
func (i *Ingester) settle(ctx context.Context, w *writer, ticket uint64, err error) {
	if err != nil && ctx.Err() != nil {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if err == nil {
		w.shippedTicket = max(w.shippedTicket, ticket)
		return
	}
	w.failedTicket, w.failure = max(w.failedTicket, ticket), err
}

// settled reports whether the request with the ticket need not wait any more, and its outcome.
func (i *Ingester) settled(w *writer, ticket uint64) (bool, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case ticket <= w.shippedTicket:
		return true, nil
	case w.fenced:
		return true, errFenced
	case ticket <= w.failedTicket:
		return true, unavailable("object durability", w.failure)
	}
	return false, nil
}

// awaitShipped waits until the record that was logged before the call is in the bucket, with every earlier one. Whoever has the turn
// gathers for a while and then ships for all; the others find their ticket settled when the turn comes to them. No goroutine
// of the ingester is needed, so that a caller without Run gets its answer too.
func (i *Ingester) awaitShipped(ctx context.Context, w *writer) error {
	ticket := w.tickets.Add(1)
	for {
		if err := i.shipping.take(ctx); err != nil {
			return fmt.Errorf("object durability: %w", err)
		}
		done, err := i.settled(w, ticket)
		if !done {
			err = i.gatherAndShip(ctx, w)
		}
		i.shipping.give()
		if done {
			return err
		}
		if done, err := i.settled(w, ticket); done {
			return err
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("object durability: %w", err)
		}
		if err != nil {
			return unavailable("object durability", err)
		}
	}
}

func (i *Ingester) gatherAndShip(ctx context.Context, w *writer) error {
	if i.cfg.ObjectBatch > 0 {
		if err := i.pause(ctx, i.cfg.ObjectBatch, nil); err != nil {
			return err
		}
	}
	_, err := i.shipAll(ctx, w)
	return err
}
