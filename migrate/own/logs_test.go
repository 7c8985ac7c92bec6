package own_test

import (
	"context"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/internal/vfs/memfs"
	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/migratetest"
	"github.com/varvedb/varve/migrate/own"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/wal"
)

// writer is a live writer that ships its log.
type writer struct {
	p   *place
	id  string
	log *wal.Log
	ref uint32
}

func (p *place) writer(id string, shipping bool) *writer {
	log, err := wal.Open(memfs.New(), "data", id, nil)
	require.NoError(p.T, err)
	p.T.Cleanup(func() { require.NoError(p.T, log.Close()) })
	_, err = p.Catalog.Register(context.Background(), catalog.Writer{ID: id, Mode: "fsync", Shipping: shipping})
	require.NoError(p.T, err)
	return &writer{p: p, id: id, log: log}
}

// add logs samples of a new reference.
func (w *writer) add(tenant string, ls labels.Labels, samples ...model.Sample) {
	w.ref++
	require.NoError(w.p.T, w.log.Append(func(e *wal.Encoder) {
		e.Begin(tenant)
		e.Define(w.ref, ls)
		for _, v := range samples {
			e.Sample(w.ref, v.T, v.V)
		}
		e.Histogram(w.ref, samples[len(samples)-1].T+1, model.FloatWithStart(1, 5))
	}))
}

func (w *writer) ship() {
	ctx := context.Background()
	require.NoError(w.p.T, w.log.Cut(ctx))
	for _, info := range w.log.Segments() {
		if !info.Closed {
			continue
		}
		data, err := w.log.ReadSegment(info.Generation, info.Seq)
		require.NoError(w.p.T, err)
		_, err = w.p.Own.Put(ctx, wal.SegmentKey(w.id, info.Generation, info.Seq), data)
		require.NoError(w.p.T, err)
	}
}

// TestLogs: what was shipped and is in no block lies over the blocks, of several writers that of the last one; what is flushed for the day is not read again.
func TestLogs(t *testing.T) {
	p := newPlace(t)
	ctx := context.Background()
	day := migratetest.FirstDay
	p.flush(day)
	at := day.Range().MinMs
	ls := p.series[len(p.series)-1]
	a, b := p.writer("a", true), p.writer("b", true)
	a.add("t", ls, model.Sample{T: at, V: 100}, model.Sample{T: at + 2, V: 101})
	a.add("other", ls, model.Sample{T: at + 50, V: 1})
	a.ship()
	require.NoError(t, a.log.EndGeneration())
	a.ship()
	a.add("t", ls, model.Sample{T: at + 5*model.MsPerDay, V: 7}) // a day without blocks
	a.ship()
	a.add("t", ls, model.Sample{T: at + 9, V: 102}) // never shipped
	b.add("t", ls, model.Sample{T: at + 2, V: 201})
	b.ship()

	c := &model.Columns{}
	c.Append(at, 100)
	c.Append(at+2, 201)
	c.AppendHistogram(at+3, model.FloatWithStart(1, 5))
	c.Append(at+5*model.MsPerDay, 7)
	c.AppendHistogram(at+5*model.MsPerDay+1, model.FloatWithStart(1, 5))
	migratetest.Put(p.want, ls, c)
	skips := migrate.NewSkips(true)
	got, days, err := read(p.open(&own.Options{Rows: true}, skips), everything(), all)
	require.NoError(t, err)
	migratetest.Same(t, p.want, got)
	require.Len(t, days, 2)

	got, _, err = read(p.open(&own.Options{SortBytes: 1}, skips), everything(), func(l labels.Labels) bool { return labels.Equal(l, ls) })
	require.NoError(t, err)
	for k := range got {
		require.True(t, strings.HasPrefix(k, ls.String()))
		require.Equal(t, p.want[k], got[k])
	}

	// The generation is in a block of another day only.
	_, err = p.Catalog.Commit(ctx, "t", day+5, catalog.Add{Writer: "a", Generation: 2})
	require.NoError(t, err)
	_, days, err = read(p.open(&own.Options{}, skips), everything(), all)
	require.NoError(t, err)
	require.Len(t, days, 1)

	require.NoError(t, p.Own.Delete(ctx, wal.SegmentKey("a", 1, 0), wal.SegmentKey("b", 1, 0)))
	_, err = p.Catalog.SetReleased(ctx, "a", 5)
	require.NoError(t, err)
	_, _, err = read(p.open(&own.Options{}, skips), everything(), all)
	require.NoError(t, err)
}

// TestBadLogs: a writer whose log is not to be had, or not to its end, is named.
func TestBadLogs(t *testing.T) {
	p := newPlace(t)
	ctx := context.Background()
	day := migratetest.FirstDay
	p.flush(day)
	at := day.Range().MinMs
	ls := p.series[len(p.series)-1]
	silent, torn, fenced := p.writer("silent", false), p.writer("torn", true), p.writer("fenced", true)
	silent.add("t", ls, model.Sample{T: at + 7, V: 1})
	for i := range int64(3) {
		torn.add("t", ls, model.Sample{T: at + 100 + 10*i, V: 1})
		torn.ship()
		fenced.add("t", ls, model.Sample{T: at + 200 + 10*i, V: 1})
		fenced.ship()
	}
	key := wal.SegmentKey("torn", 1, 1)
	data, _, err := p.Own.Get(ctx, key)
	require.NoError(t, err)
	data[len(data)/2] ^= 1
	_, err = p.Own.Put(ctx, key, data)
	require.NoError(t, err)
	_, err = p.Own.Put(ctx, wal.SegmentKey("fenced", 1, 1), wal.FenceSegment("fenced", 1, 1, "x"))
	require.NoError(t, err)
	require.NoError(t, p.Own.Delete(ctx, wal.SegmentKey("fenced", 1, 2)))
	skips := migrate.NewSkips(false)
	got, _, err := read(p.open(&own.Options{Rows: true}, skips), everything(), all)
	require.NoError(t, err)
	for _, off := range []int64{100, 101, 200, 201} {
		c := &model.Columns{}
		if off%2 == 0 {
			c.Append(at+off, 1)
		} else {
			c.AppendHistogram(at+off, model.FloatWithStart(1, 5))
		}
		migratetest.Put(p.want, ls, c)
	}
	migratetest.Same(t, p.want, got)
	require.Equal(t, map[string]int64{"log": 2}, skips.Counts(), "%v", skips.Named())
	require.Contains(t, skips.Named()[0].String()+skips.Named()[1].String(), "silent")
	require.Contains(t, skips.Named()[0].String()+skips.Named()[1].String(), key)
}
