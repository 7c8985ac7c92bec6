package query

import (
	"errors"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/internal/vfs/memfs"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/wal"
)

// shipper is a writer's log that ships.
type shipper struct {
	w   *world
	log *wal.Log
	ref uint32
}

func newShipper(w *world, writer string) *shipper {
	log, err := wal.Open(memfs.New(), "data", writer, nil)
	require.NoError(w.t, err)
	return &shipper{w: w, log: log}
}

// add logs samples of a new reference, so that the same series has several.
func (s *shipper) add(tenant, name string, samples ...model.Sample) {
	s.ref++
	require.NoError(s.w.t, s.log.Append(func(e *wal.Encoder) {
		e.Begin(tenant)
		e.Define(s.ref, metric(name))
		for _, v := range samples {
			e.Sample(s.ref, v.T, v.V)
		}
	}))
}

// ship closes the segment and uploads what is not uploaded.
func (s *shipper) ship() {
	require.NoError(s.w.t, s.log.Cut(s.w.t.Context()))
	for _, info := range s.log.Segments() {
		if !info.Closed {
			continue
		}
		data, err := s.log.ReadSegment(info.Generation, info.Seq)
		require.NoError(s.w.t, err)
		_, err = s.w.bucket.Put(s.w.t.Context(), wal.SegmentKey("w1", info.Generation, info.Seq), data)
		require.NoError(s.w.t, err)
	}
}

func (s *shipper) rotate() {
	require.NoError(s.w.t, s.log.EndGeneration())
	s.ship()
}

func TestDetached(t *testing.T) {
	w := newWorld(t)
	w.cfg.Detached = true
	w.register(catalog.Writer{ID: "w1", Mode: "fsync", Shipping: true})
	s := newShipper(w, "w1")
	s.add(testTenant, "released", model.Sample{T: t0, V: 1})
	s.rotate()
	_, err := w.store.SetReleased(t.Context(), "w1", 1)
	require.NoError(t, err)
	s.add(testTenant, "a", model.Sample{T: t0, V: 1}, model.Sample{T: t0 + 20, V: 2})
	s.add("other", "secret", model.Sample{T: t0 + 99_000, V: 1})
	s.ship()
	s.add(testTenant, "a", model.Sample{T: t0 + 10, V: 3}, model.Sample{T: t0, V: 4}) // late, and another value
	s.rotate()
	s.add(testTenant, "b", model.Sample{T: t0 + 30_000, V: 5})
	s.ship()
	s.add(testTenant, "b", model.Sample{T: t0 + 60_000, V: 6}) // never shipped

	got := selectAll(w.ctx(), t, w.queryable(), t0, t0+100_000, everything)
	require.NoError(t, got.err)
	require.Equal(t, data{"a": {t0: 4, t0 + 10: 3, t0 + 20: 2}, "b": {t0 + 30_000: 5}}, got.data)
	require.Equal(t, []string{"writer w1 was not asked; its shipped log reaches " + utc(t0+30_000)}, got.warnings)

	got = selectAll(w.ctx(), t, w.queryable(), t0+5, t0+15, labels.MustNewMatcher(labels.MatchEqual, metricName, "a"))
	require.Equal(t, data{"a": {t0 + 10: 3}}, got.data)
	require.NotEmpty(t, got.warnings)

	querier, err := w.queryable().Querier(t0, t0+100_000)
	require.NoError(t, err)
	defer querier.Close()
	values, warnings, err := querier.LabelValues(w.ctx(), metricName, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b"}, values)
	require.Len(t, warnings, 1)

	t.Run("another tenant", func(t *testing.T) {
		got := selectAll(t.Context(), t, w.queryable(), t0, t0+100_000, everything)
		require.NoError(t, got.err)
		require.Empty(t, got.data)
		require.Contains(t, got.warnings[0], "nothing that is newer")
	})
	t.Run("fence", func(t *testing.T) {
		_, err := w.bucket.Put(t.Context(), wal.SegmentKey("w1", 3, 0), wal.FenceSegment("w1", 3, 0, "w9"))
		require.NoError(t, err)
		got := selectAll(w.ctx(), t, w.queryable(), t0, t0+100_000, everything)
		require.NoError(t, got.err)
		require.Equal(t, []string{"a"}, got.names)
	})
	t.Run("limit", func(t *testing.T) {
		w.cfg.MaxTailSegments = 1
		got := selectAll(w.ctx(), t, w.queryable(), t0, t0+100_000, everything)
		require.NoError(t, got.err)
		require.Equal(t, data{"a": {t0: 1, t0 + 20: 2}}, got.data)
		require.Equal(t, []string{"writer w1 was not asked; its shipped log was read up to the limit and reaches " + utc(t0+20) + " there"}, got.warnings)
	})
}

// TestDamagedTail has a log with a segment that went bad: what lies before it is answered, by those who may answer short.
func TestDamagedTail(t *testing.T) {
	w := newWorld(t)
	w.register(catalog.Writer{ID: "w1", Mode: "object", Shipping: true})
	s := newShipper(w, "w1")
	for i := range int64(4) {
		s.add(testTenant, "a", model.Sample{T: t0 + i, V: float64(i)})
		s.ship()
	}
	s.rotate()
	for _, bad := range []uint64{2, 0} {
		key := wal.SegmentKey("w1", 1, bad)
		b, _, err := w.bucket.Get(t.Context(), key)
		require.NoError(t, err)
		b[len(b)/2] ^= 1
		_, err = w.bucket.Put(t.Context(), key, b)
		require.NoError(t, err)

		got := selectAll(w.ctx(), t, w.queryable(), t0, t0+1000, everything)
		require.ErrorIs(t, got.err, model.ErrUnavailable, "an answer without a warning is a whole one")
		require.ErrorContains(t, got.err, key)

		got = selectAll(WithPartialResponse(w.ctx()), t, w.queryable(), t0, t0+1000, everything)
		require.NoError(t, got.err)
		require.Len(t, got.data["a"], int(bad))
		require.Len(t, got.warnings, 1)
		require.Contains(t, got.warnings[0], key)
		if bad > 0 {
			require.Contains(t, got.warnings[0], "reaches "+utc(t0+1))
		}
	}
}

// TestObjectMode has a dead writer whose log holds everything it acknowledged.
func TestObjectMode(t *testing.T) {
	w := newWorld(t)
	w.register(catalog.Writer{ID: "w1", Mode: "object", Shipping: true})
	w.cfg.MaxTailSegments = 1
	s := newShipper(w, "w1")
	s.add(testTenant, "a", model.Sample{T: t0, V: 1})
	s.ship()
	s.add(testTenant, "a", model.Sample{T: t0 + 1, V: 2})
	s.ship()
	got := selectAll(w.ctx(), t, w.queryable(), t0, t0+1000, everything)
	require.NoError(t, got.err)
	require.Empty(t, got.warnings)
	require.Equal(t, data{"a": {t0: 1, t0 + 1: 2}}, got.data)

	t.Run("its log cannot be read", func(t *testing.T) {
		w.driver.SetHook(func(c faultblob.Call) faultblob.Action {
			if strings.HasPrefix(c.Key, "w/w1/") {
				return faultblob.Action{Kind: faultblob.Fail, Err: errors.New("on fire")}
			}
			return faultblob.Action{}
		})
		got := selectAll(w.ctx(), t, w.queryable(), t0, t0+1000, everything)
		require.ErrorIs(t, got.err, model.ErrUnavailable)
		require.ErrorContains(t, got.err, "w1")
		got = selectAll(WithPartialResponse(w.ctx()), t, w.queryable(), t0, t0+1000, everything)
		require.NoError(t, got.err)
		require.Contains(t, got.warnings[0], "w1")
		require.Contains(t, got.warnings[0], "on fire")
	})
}

// TestDeniedTail has a store that answers 403 for what is not there, as S3 does to readers without list permission.
func TestDeniedTail(t *testing.T) {
	w := newWorld(t)
	s := newShipper(w, "w1")
	s.add(testTenant, "a", model.Sample{T: t0, V: 1})
	s.ship()
	w.driver.SetHook(denyMissing(w))
	denying := blob.New(w.driver, nil)
	read := func() (*model.Selection, error) {
		return newTail(denying, "w1", 1).Select(t.Context(), testTenant, model.TimeRange{MinMs: t0, MaxMs: t0 + 10}, nil)
	}
	_, err := read()
	require.ErrorIs(t, err, model.ErrUnavailable, "nothing of the writer can be read: perhaps nothing may be")
	_, err = w.bucket.Put(t.Context(), "w/w1/id", []byte("x"))
	require.NoError(t, err)
	sel, err := read()
	require.NoError(t, err)
	require.Len(t, sel.Series, 1)
}
