package ingester

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"sync"
	"sync/atomic"
	"time"

	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/memtable"
	"github.com/varvedb/varve/model"
)

// Ingester is one writer: a data directory, its log, its memtables and its blocks that are not
// yet in the catalog. Safe for concurrent use.
type Ingester struct {
	cfg     Config
	c       Components
	metrics *metrics
	lock    io.Closer // the data directory's flock

	// One step of a kind at a time. The order of taking several is the order here.
	control, rotating, shipping, building, committing, releasing turn
	// The loops of Run wait on these; see run.go.
	controlWake, sealedWake, builtWake, shipWake wake

	inFlight atomic.Int64 // bytes of requests being appended
	resolved sync.Pool    // of *resolved
	closing  atomic.Bool

	deletions deletions
	changes   changes

	fileTurn sync.Mutex // serializes changeFile, which writes a small local file

	rebuilding sync.Mutex // serializes the rewriting of manifests, which are small local files

	wantsShipping bool // as configured, or as it was before

	names atomic.Pointer[memtable.Names] // of the next generation

	mu      sync.Mutex // guards the fields below and those of writer and generation that say so
	file    *writerFile
	w       *writer
	entered bool // the roster was brought up to date since the start
	probed  bool
	adopted map[string]bool // of Config.Replaces
	trouble map[string]error
	past    arrivals // of all generations but the active one
}

var (
	_ model.Appender = (*Ingester)(nil)
	_ model.Source   = (*Ingester)(nil)
)

// Open takes the data directory, makes everything in it readable again, and enters the roster. It starts no goroutine.
//
// A log that is damaged elsewhere than at its torn end makes it fail with model.ErrCorrupt, naming segment and offset. A bucket that
// cannot be reached does not: Ready then says whether writes are accepted already (see the package comment), and
// Run goes on trying. A bucket that ignores conditional writes is refused.
func Open(ctx context.Context, cfg Config, c Components) (_ *Ingester, err error) {
	cfg, err = cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("open ingester: %w", err)
	}
	c = c.withDefaults()
	i := &Ingester{
		cfg: cfg, c: c, metrics: newMetrics(c.Registerer),
		control: newTurn(), rotating: newTurn(), shipping: newTurn(), building: newTurn(), committing: newTurn(), releasing: newTurn(),
		controlWake: newWake(), sealedWake: newWake(), builtWake: newWake(), shipWake: newWake(),
		adopted: map[string]bool{}, trouble: map[string]error{},
	}
	i.names.Store(memtable.NewNames())
	if err := c.FS.MkdirAll(c.Dir); err != nil {
		return nil, fmt.Errorf("open data directory %s: %w", c.Dir, err)
	}
	i.lock, err = c.FS.Lock(path.Join(c.Dir, "lock"), false)
	if err != nil {
		return nil, fmt.Errorf("open data directory %s: %w", c.Dir, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, i.lock.Close())
		}
	}()
	if err := i.recover(ctx); err != nil {
		return nil, fmt.Errorf("open data directory %s: %w", c.Dir, err)
	}
	if err := i.enterAtStart(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open ingester: %w", err), i.closeWriter(i.current()))
	}
	i.metrics.watch(i)
	return i, nil
}

// startPatience is how long a start waits for the bucket. One that does not answer at all would otherwise keep a writer from accepting
// writes that it could make durable.
const startPatience = 5 * time.Second

// enterAtStart enters the roster and looks for a fence. Trouble that may pass is left to Run.
func (i *Ingester) enterAtStart(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	_, err := i.EnterStep(ctx)
	if err == nil || errors.Is(err, errFenced) {
		_, err = i.FenceStep(ctx)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, model.ErrInvalid), errors.Is(err, model.ErrCorrupt), errors.Is(err, model.ErrVersion):
		return err
	}
	i.c.Logger.Warn("the bucket is not ready at start, trying again", "writer", i.Writer(), "err", err)
	return nil
}

// Writer implements model.Source: the id that this ingester answers for. It changes when the writer was fenced.
func (i *Ingester) Writer() string { return i.current().id }

func (i *Ingester) current() *writer {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.w
}

// Ready returns nil while writes are accepted, and otherwise why not: the roster does not name this writer yet, it was adopted, it
// is closed, the last fsync failed and no fresh segment has been written since, or as much waits for the bucket as may. What else troubles
// the bucket is in Status.
func (i *Ingester) Ready() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if err := i.readyLocked(); err != nil {
		return err
	}
	return i.waitingLocked()
}

func (i *Ingester) readyLocked() error {
	switch {
	case i.closing.Load():
		return fmt.Errorf("ingester is closed: %w", model.ErrUnavailable)
	case i.w.fenced:
		return errFenced
	case !i.file.Registered:
		return unavailable(fmt.Sprintf("writer %s is not in the roster yet", i.w.id), orUnknown(i.trouble[troubleEnter]))
	case i.cfg.modeObject() && !i.w.ships.Load():
		return fmt.Errorf("what was written before shipping was switched on is being flushed: %w", model.ErrUnavailable)
	case i.w.active.broken.Load():
		return unavailable("the log could not be made durable, and no fresh segment has been written since", orUnknown(i.trouble[troubleRotate]))
	}
	return nil
}

// unavailable is model.ErrUnavailable and of no other kind, whatever the cause is: a bucket that is missing or forbids us is our trouble, and a
// sender that took it for a fault of its samples would throw them away.
func unavailable(what string, cause error) error {
	return fmt.Errorf("%s: %s: %w", what, cause.Error(), model.ErrUnavailable)
}

func orUnknown(err error) error {
	if err == nil {
		return errors.New("not tried yet")
	}
	return err
}

// Close ends the writer: it refuses new writes, flushes everything, marks the writer as clean in the roster, and lets the data directory
// go. Run must have returned. After an error (a bucket that cannot be reached) everything acknowledged is still safe
// in the data directory, and the roster keeps naming the writer as active.
func (i *Ingester) Close(ctx context.Context) error {
	if i.closing.Swap(true) {
		return nil
	}
	err := i.leave(ctx)
	return errors.Join(err, i.Abandon())
}

// leave flushes and says goodbye. The writer file forgets the registration before the roster does: from then on nothing may be
// acknowledged until it was renewed.
func (i *Ingester) leave(ctx context.Context) error {
	if _, err := i.FenceStep(ctx); err != nil {
		return fmt.Errorf("close ingester: %w", err)
	}
	if err := i.flush(ctx); err != nil {
		return fmt.Errorf("close ingester: %w", err)
	}
	w := i.current()
	if err := i.changeFile(func(f *writerFile) { f.Registered = false }); err != nil {
		return fmt.Errorf("close ingester: %w", err)
	}
	if _, err := i.c.Catalog.SetState(ctx, w.id, catalog.Clean); err != nil {
		return fmt.Errorf("close ingester: %w", err)
	}
	return nil
}

// Abandon lets the data directory go without flushing, as a crash would. Run must have returned.
func (i *Ingester) Abandon() error {
	i.closing.Store(true)
	return errors.Join(i.closeWriter(i.current()), i.lock.Close())
}

// changeFile changes the writer file durably. The change is in force only if it succeeds.
func (i *Ingester) changeFile(change func(f *writerFile)) error {
	i.fileTurn.Lock()
	defer i.fileTurn.Unlock()
	i.mu.Lock()
	next := i.file.clone()
	i.mu.Unlock()
	change(next)
	if err := writeState(i.c.FS, writerPath(i.c.Dir), writerMagic, next); err != nil {
		return err
	}
	i.mu.Lock()
	i.file = next
	i.mu.Unlock()
	return nil
}

func (i *Ingester) nowMs() int64 { return i.c.Now().UnixMilli() }
