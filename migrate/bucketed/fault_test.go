package bucketed

import (
	"context"
	"iter"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/migrate/migratetest"
	"github.com/varvedb/varve/model"
)

// small is a bucket of few blocks on two days, of which one tells of no files.
func (w *world) small() map[string]string {
	all := map[string]string{}
	for n, external := range []map[string]string{{"replica": "a"}, {"replica": "b"}} {
		s := samples{
			`{__name__="m"}`: every(first+int64(n)*minute, first+model.MsPerDay+hour, 2*hour),
			`{__name__="n"}`: histograms(w.T, every(first+20*hour, first+26*hour, 2*hour)),
		}
		w.upload(block{external: external, samples: s, noFiles: n == 1})
		want(w.T, all, s, external)
	}
	return all
}

// TestFaultsAtEveryCall lets each call to the source fail, break off, be the last, or miss its object, and then runs the job again: each sample is there once.
func TestFaultsAtEveryCall(t *testing.T) {
	w := newWorld(t)
	all := w.small()
	for name, a := range map[string]faultblob.Action{
		"fail": {Kind: faultblob.Fail}, "crash": {Kind: faultblob.CrashBefore}, "tear": {Kind: faultblob.Tear, Keep: 2}, "missing": {Kind: faultblob.Fail, Err: model.ErrNotFound},
	} {
		for n := 1; ; n++ {
			w := w.again()
			d := faultblob.Wrap(w.from)
			d.SetHook(faultblob.Nth(n, a))
			_, err := w.run(d, migratetest.Small(), nil)
			if d.Calls() < n {
				require.NoError(t, err)
				require.Greater(t, n, 9, "a job makes calls")
				break
			}
			w.mustRun(migratetest.Small(), nil)
			got, _, held := w.Read()
			migratetest.Same(t, all, got, "%s, call %d: %v", name, n, err)
			if err != nil {
				require.Len(t, all, held, "%s, call %d", name, n)
			}
		}
	}
}

// liar tells of other sizes than objects have, and gives less than was asked for without saying so.
type liar struct {
	blob.Driver
	n, at int
	by    int64
}

func (l *liar) lies() bool {
	l.n++
	return l.n == l.at
}

// Get implements blob.Driver.
func (l *liar) Get(ctx context.Context, key string, offset, length int64, since blob.Version) (blob.GetResult, error) {
	r, err := l.Driver.Get(ctx, key, offset, length, since)
	if err == nil && l.lies() {
		if r.Size += l.by; l.by < 0 {
			r.Data = r.Data[:max(0, int64(len(r.Data))+l.by)]
		}
	}
	return r, err
}

// List implements blob.Driver.
func (l *liar) List(ctx context.Context, prefix string) iter.Seq2[blob.Object, error] {
	return func(yield func(blob.Object, error) bool) {
		for o, err := range l.Driver.List(ctx, prefix) {
			if err == nil && l.lies() {
				o.Size = max(0, o.Size+l.by)
			}
			if !yield(o, err) {
				return
			}
		}
	}
}

// TestLies lets one object after the other have another size than it has, and runs the job again.
func TestLies(t *testing.T) {
	w := newWorld(t)
	all := w.small()
	for _, by := range []int64{-7, 7, -1 << 40} {
		for at := 1; ; at++ {
			w := w.again()
			l := &liar{Driver: w.from, at: at, by: by}
			_, err := w.run(l, migratetest.Small(), nil)
			if l.n < at {
				require.NoError(t, err)
				break
			}
			w.mustRun(migratetest.Small(), nil)
			got, _, _ := w.Read()
			migratetest.Same(t, all, got, "by %d, call %d: %v", by, at, err)
		}
	}
}
