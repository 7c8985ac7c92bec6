package query

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// damageWorld is a bucket with a good block and one that is to be damaged, of the format, and what is in both.
type damageWorld struct {
	*world
	t          *testing.T
	victim     *blocks.Meta
	bytes      []byte
	good, both data
}

func newDamageWorld(t *testing.T, f blocks.Format) *damageWorld {
	w := &damageWorld{world: newWorld(t), t: t, good: data{}, both: data{}}
	d := data{}
	for i := range 40 {
		for n := range int64(12) {
			at, v := t0+n*int64(7_000_000)+int64(i), float64(i)*1.25+float64(n*n)
			name := fmt.Sprintf("bad_%02d", i)
			d.add(name, at, v)
			w.both.add(name, at, v)
		}
		name := fmt.Sprintf("good_%02d", i)
		w.good.add(name, t0+int64(i), 1)
		w.both.add(name, t0+int64(i), 1)
	}
	w.flush("w1", 1, day0, w.good)
	var b bytes.Buffer
	m, err := blocks.Build(t.Context(), &blocks.Params{Tenant: testTenant, Day: day0, Writer: "w1", Generation: 2, Format: f}, d.series(), &b)
	require.NoError(t, err)
	w.victim, w.bytes = m, b.Bytes()
	w.put(w.bytes)
	w.commit(m)
	w.register(catalog.Writer{ID: "w1", Mode: "fsync"})
	w.setState("w1", catalog.Clean)
	return w
}

func (w *damageWorld) put(b []byte) {
	_, err := w.bucket.Put(context.Background(), blocks.Key(w.victim), b)
	require.NoError(w.t, err)
}

// ask evaluates a range selector over the day.
func (w *damageWorld) ask(ctx context.Context, e *Engine, q storage.Queryable, expr string) (data, []string, error) {
	query, err := e.NewInstantQuery(ctx, q, nil, expr, time.UnixMilli(day0.Range().MaxMs))
	require.NoError(w.t, err)
	defer query.Close()
	r := query.Exec(ctx)
	if r.Err != nil {
		return nil, nil, r.Err
	}
	got := data{}
	switch v := r.Value.(type) {
	case promql.Matrix:
		for _, s := range v {
			for _, p := range s.Floats {
				got.add(s.Metric.Get(metricName), p.T, p.F)
			}
		}
	case promql.Vector:
		for _, s := range v {
			got.add(s.Metric.Get("n"), 0, s.F)
		}
	}
	warnings, _ := r.Warnings.AsStrings("", 0, 0)
	return got, warnings, nil
}

// TestDamagedBlock spoils a block in many ways. A query fails and names it, or, if a partial answer will do, has all that is elsewhere and a warning
// that names it. No number is ever wrong.
func TestDamagedBlock(t *testing.T) {
	for _, f := range []blocks.Format{blocks.Native, blocks.Parquet} {
		t.Run(fmt.Sprint("format", f), func(t *testing.T) {
			w := newDamageWorld(t, f)
			e := NewEngine(nil, NewParser(), nil, nil)
			defer e.Close()
			check := func(name string, must bool) {
				key := blocks.Key(w.victim)
				const all = `{__name__=~".+"}[1d]`
				got, warnings, err := w.ask(w.ctx(), e, w.queryable(), all)
				if err == nil {
					require.Equal(t, w.both, got, name)
					require.Empty(t, warnings, name)
					require.False(t, must, name)
				} else {
					require.True(t, isDamage(err), "%s: %v", name, err)
					require.ErrorContains(t, err, w.victim.ID, name)
				}
				partial := WithPartialResponse(w.ctx())
				got, warnings, partialErr := w.ask(partial, e, w.queryable(), all)
				require.NoError(t, partialErr, name)
				for series, samples := range w.good {
					require.Equal(t, samples, got[series], name)
				}
				left := 0
				for series, samples := range got {
					left += len(samples)
					for at, v := range samples {
						require.Equal(t, w.both[series][at], v, "%s: a wrong number", name)
					}
				}
				require.Equal(t, err != nil, left < 40+40*12, name)
				require.Equal(t, err != nil, len(warnings) > 0, name)
				for _, warning := range warnings {
					require.True(t, strings.Contains(warning, key) || strings.Contains(warning, w.victim.ID), "%s: %s", name, warning)
				}
				// The same column-wise: what is there of a series adds up, what is damaged is not in it.
				sums, warnings, sumErr := w.ask(partial, e, w.queryable(), `label_replace(count_over_time({__name__=~"good_.+"}[1d]), "n", "$1", "__name__", "(.*)")`)
				require.NoError(t, sumErr, name)
				require.Len(t, sums, len(w.good), "%s: %v", name, warnings)
			}
			spoiled := 0
			for at := 0; at < len(w.bytes); at += max(1, len(w.bytes)/97) {
				b := slices.Clone(w.bytes)
				b[at] ^= 1 << (at % 8)
				w.put(b)
				check(fmt.Sprint("bit of byte ", at), false)
				if _, _, err := w.ask(w.ctx(), e, w.queryable(), `{__name__=~".+"}[1d]`); err != nil {
					spoiled++
				}
			}
			require.Greater(t, spoiled, 10)
			for _, n := range []int{0, 1, 10, len(w.bytes) / 10} {
				w.put(w.bytes[:n])
				check(fmt.Sprint("cut to ", n), true)
			}
			for n := len(w.bytes) / 10; n < len(w.bytes); n += len(w.bytes)/7 + 1 {
				w.put(w.bytes[:n])
				check(fmt.Sprint("cut to ", n), false)
			}
			w.put(bytes.Repeat([]byte{0xff}, len(w.bytes)))
			check("overwritten", true)
			require.NoError(t, w.bucket.Delete(t.Context(), blocks.Key(w.victim)))
			check("missing", true)
			w.driver.SetHook(denyMissing(w.world))
			check("missing, as who may not list sees it", true)
			w.driver.SetHook(nil)
			w.put(w.bytes)
			got, warnings, err := w.ask(w.ctx(), e, w.queryable(), `{__name__=~".+"}[1d]`)
			require.NoError(t, err)
			require.Empty(t, warnings)
			require.Equal(t, w.both, got, "restored")
		})
	}
}

// TestDamagedLabels: calls for series and labels do the same.
func TestDamagedLabels(t *testing.T) {
	for _, f := range []blocks.Format{blocks.Native, blocks.Parquet} {
		w := newDamageWorld(t, f)
		w.put(bytes.Repeat([]byte{0xff}, len(w.bytes)))
		for _, ctx := range []context.Context{w.ctx(), WithPartialResponse(w.ctx())} {
			querier, err := w.queryable().Querier(t0, t0+model.MsPerDay-1)
			require.NoError(t, err)
			set := querier.Select(ctx, true, &storage.SelectHints{Start: t0, End: t0 + model.MsPerDay - 1, Func: FuncSeries}, everything)
			n := 0
			for set.Next() {
				n++
			}
			_, nameWarnings, namesErr := querier.LabelNames(ctx, nil)
			values, valueWarnings, valuesErr := querier.LabelValues(ctx, metricName, nil, everything)
			if !PartialResponse(ctx) {
				for _, err := range []error{set.Err(), namesErr, valuesErr} {
					require.ErrorIs(t, err, model.ErrCorrupt)
					require.ErrorContains(t, err, blocks.Key(w.victim))
				}
			} else {
				require.NoError(t, errors.Join(set.Err(), namesErr, valuesErr))
				require.Equal(t, len(w.good), n)
				require.Equal(t, w.good.sorted(), values)
				for _, warnings := range []int{len(set.Warnings()), len(nameWarnings), len(valueWarnings)} {
					require.Equal(t, 1, warnings)
				}
			}
			require.NoError(t, querier.Close())
		}
	}
}

// TestDamagedWithoutNotes: who reads series without an engine, and so would not hear of it, gets an error for what shows only in decoding.
func TestDamagedWithoutNotes(t *testing.T) {
	w := newDamageWorld(t, blocks.Native)
	b := slices.Clone(w.bytes)
	at := w.victim.Chunks.Offset + w.victim.Chunks.Length/2
	b[at] ^= 0x40
	w.put(b)
	querier, err := w.queryable().Querier(t0, t0+model.MsPerDay-1)
	require.NoError(t, err)
	defer querier.Close()
	_, err = tally(querier.Select(WithPartialResponse(w.ctx()), true, nil, everything))
	require.ErrorIs(t, err, model.ErrCorrupt)
}

// TestDamageIsNotAbsence: partial answers do not put up with a store that is out of reach, nor with a catalog that is damaged.
func TestDamageIsNotAbsence(t *testing.T) {
	w := newDamageWorld(t, blocks.Native)
	e := NewEngine(nil, NewParser(), nil, nil)
	defer e.Close()
	w.driver.SetHook(func(c faultblob.Call) faultblob.Action {
		if strings.HasPrefix(c.Key, "d/") {
			return faultblob.Action{Kind: faultblob.Fail, Err: model.ErrInvalid}
		}
		return faultblob.Action{}
	})
	_, _, err := w.ask(WithPartialResponse(w.ctx()), e, w.queryable(), `{__name__=~".+"}[1d]`)
	require.ErrorIs(t, err, model.ErrInvalid)
	w.driver.SetHook(nil)
	_, err = w.bucket.Put(t.Context(), catalog.PartitionKey(testTenant, day0), []byte("VVcp?"))
	require.NoError(t, err)
	_, _, err = w.ask(WithPartialResponse(w.ctx()), e, w.queryable(), `{__name__=~".+"}[1d]`)
	require.ErrorIs(t, err, model.ErrCorrupt)
}

// TestMissingBlock: the error of a block that is gone names its object, which somebody has to restore.
func TestMissingBlock(t *testing.T) {
	w := newDamageWorld(t, blocks.Native)
	require.NoError(t, w.bucket.Delete(t.Context(), blocks.Key(w.victim)))
	e := NewEngine(nil, NewParser(), nil, nil)
	defer e.Close()
	_, _, err := w.ask(w.ctx(), e, w.queryable(), `{__name__=~".+"}[1d]`)
	require.ErrorIs(t, err, model.ErrCorrupt)
	require.ErrorContains(t, err, "block "+blocks.Key(w.victim)+" is in the catalog but not in the bucket")
}
