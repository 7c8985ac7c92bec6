package catalog

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/countblob"
	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/model"
)

var threeDays = model.TimeRange{MinMs: (testDay - 1).Range().MinMs, MaxMs: (testDay + 1).Range().MaxMs}

func TestViewAndConfirm(t *testing.T) {
	d := mem.New()
	s, _ := newStore(d, 1)
	v, err := s.View(t.Context(), "t", threeDays, nil)
	require.NoError(t, err)
	require.Empty(t, v.Partitions)
	require.False(t, v.Confirmed)
	v, changed, err := s.Confirm(t.Context(), v)
	require.NoError(t, err)
	require.False(t, changed)
	require.True(t, v.Confirmed)

	_, err = s.Commit(t.Context(), "t", testDay, add("w", 1))
	require.NoError(t, err)
	v, changed, err = s.Confirm(t.Context(), v)
	require.NoError(t, err)
	require.True(t, changed, "a catalog that appeared is found through the root")
	require.Len(t, v.Partitions, 1)
	_, changed, err = s.Confirm(t.Context(), v)
	require.NoError(t, err)
	require.False(t, changed)

	v2, err := s.View(t.Context(), "t", threeDays, v)
	require.NoError(t, err)
	require.Same(t, v.Partitions[0], v2.Partitions[0])
	_, err = s.Commit(t.Context(), "t", testDay, add("w", 2))
	require.NoError(t, err)
	v3, changed, err := s.Confirm(t.Context(), v2)
	require.NoError(t, err)
	require.True(t, changed)
	require.Len(t, v3.Partitions[0].Blocks, 2)
	require.Len(t, v2.Partitions[0].Blocks, 1)

	all, err := s.View(t.Context(), "t", model.TimeRange{MinMs: model.MinTimeMs - 1, MaxMs: model.MaxTimeMs + 1}, nil)
	require.NoError(t, err)
	require.Len(t, all.Partitions, 1)
	none, err := s.View(t.Context(), "t", model.TimeRange{MinMs: 1, MaxMs: 0}, nil)
	require.NoError(t, err)
	require.Empty(t, none.Partitions)
}

// TestMissingCatalogIsNoSilence: the root names the day, the catalog is not there, or not readable.
func TestMissingCatalogIsNoSilence(t *testing.T) {
	d := mem.New()
	s, c := newStore(d, 1)
	require.NoError(t, s.enterDay(t.Context(), "t", testDay))
	_, err := s.View(t.Context(), "t", threeDays, nil)
	require.ErrorIs(t, err, model.ErrUnavailable)
	require.ErrorContains(t, err, "root names the day")
	require.Positive(t, c.slept)
}

// TestCatalogCreatedWhileViewing creates the catalog after it was found missing and before the root is read.
func TestCatalogCreatedWhileViewing(t *testing.T) {
	inner := mem.New()
	other, _ := newStore(inner, 9)
	for _, when := range []string{"/root", "/c/"} {
		d := faultblob.Wrap(inner)
		day := testDay
		if when == "/c/" {
			day++
		}
		done := false
		d.SetHook(func(c faultblob.Call) faultblob.Action {
			if !done && strings.Contains(c.Key, when) {
				done = true
				op := add("w", 1)
				m := *op.Meta
				m.Day, m.MinT, m.MaxT = day, day.Range().MinMs, day.Range().MinMs
				op.Meta = &m
				_, err := other.Commit(t.Context(), "t", day, op)
				require.NoError(t, err)
			}
			return faultblob.Action{}
		})
		s, _ := newStore(d, 1)
		v, err := s.View(t.Context(), "t", day.Range(), nil)
		require.NoError(t, err)
		v, _, err = s.Confirm(t.Context(), v)
		require.NoError(t, err)
		require.Len(t, v.Partitions, 1, when)
	}
}

func TestViewIsOneStage(t *testing.T) {
	inner := mem.New()
	s, _ := newStore(inner, 1)
	_, err := s.Commit(t.Context(), "t", testDay, add("w", 1))
	require.NoError(t, err)
	d := countblob.Wrap(inner, nil)
	wide := New(bucketParallel(d), nil, Components{})
	v, err := wide.View(t.Context(), "t", threeDays, nil)
	require.NoError(t, err)
	require.Len(t, v.Partitions, 1)
	require.Equal(t, 4, d.Stats().Requests["get"])
}

// denying answers 403 for what is missing, as stores do without list permission.
type denying struct{ blob.Driver }

func (d denying) Get(ctx context.Context, key string, off, n int64, since blob.Version) (blob.GetResult, error) {
	res, err := d.Driver.Get(ctx, key, off, n, since)
	if errors.Is(err, model.ErrNotFound) {
		err = blob.DeniedRead(key)
	}
	return res, err
}

func TestDenied(t *testing.T) {
	s, _ := newStore(denying{mem.New()}, 1)
	_, err := s.View(t.Context(), "t", threeDays, nil)
	require.True(t, blob.IsDenied(err), "a root that may not be read is not an empty tenant")
	_, err = s.Roster(t.Context(), nil)
	require.True(t, blob.IsDenied(err))
	_, err = s.Commit(t.Context(), "t", testDay, add("w", 1))
	require.NoError(t, err, "a writer creates what it may not see")
	v, err := s.View(t.Context(), "t", threeDays, nil)
	require.NoError(t, err)
	require.Len(t, v.Partitions, 1)
}

func TestSequentialView(t *testing.T) {
	inner := mem.New()
	s, _ := newStore(inner, 1)
	_, err := s.Commit(t.Context(), "t", testDay, add("w", 1))
	require.NoError(t, err)
	var keys []string
	d := faultblob.Wrap(inner)
	d.SetHook(func(c faultblob.Call) faultblob.Action {
		keys = append(keys, c.Key)
		return faultblob.Action{}
	})
	one := New(bucketOf(d), &Options{Sequential: true}, Components{})
	_, err = one.View(t.Context(), "t", threeDays, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"t/t/c/20231114", "t/t/c/20231115", "t/t/c/20231116", "t/t/root"}, keys)
	d.SetHook(faultblob.Nth(5, faultblob.Action{Kind: faultblob.Fail}))
	_, err = one.View(t.Context(), "t", threeDays, nil)
	require.ErrorIs(t, err, model.ErrUnavailable)
	require.Equal(t, 5, d.Calls())
}
