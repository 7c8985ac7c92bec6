package blob_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/model"
)

// careless ignores conditions, as some stores do.
type careless struct {
	blob.Driver
	ignoreAbsent, ignoreMatch bool
	writesAnyway              bool // after it has reported the conflict
}

func (c careless) Put(ctx context.Context, key string, data []byte, cond blob.Condition) (blob.Version, error) {
	honest := cond
	if c.ignoreAbsent {
		cond.Absent = false
	}
	if c.ignoreMatch {
		cond.Match = ""
	}
	v, err := c.Driver.Put(ctx, key, data, cond)
	if c.writesAnyway && honest != (blob.Condition{}) && err != nil {
		_, werr := c.Driver.Put(ctx, key, data, blob.Condition{})
		return "", errors.Join(err, werr)
	}
	return v, err
}

func TestProbeRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		d    careless
		want string
	}{
		"create":  {careless{ignoreAbsent: true}, "ignores create-if-absent (If-None-Match)"},
		"swap":    {careless{ignoreMatch: true}, "ignores compare-and-swap (If-Match)"},
		"reports": {careless{writesAnyway: true}, "and yet writes"},
	} {
		t.Run(name, func(t *testing.T) {
			c.d.Driver = mem.New()
			err := blob.New(c.d, nil).Probe(t.Context(), "w1")
			if !errors.Is(err, model.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want a refusal with %q", err, c.want)
			}
		})
	}
}

// TestProbeUnderFaults loses, fails and tears each call in turn: no good bucket may be refused.
func TestProbeUnderFaults(t *testing.T) {
	for _, kind := range []faultblob.Kind{faultblob.Fail, faultblob.LoseAnswer, faultblob.Tear} {
		for n := 1; ; n++ {
			b, f, _ := faulty(t, nil)
			f.SetHook(faultblob.Nth(n, faultblob.Action{Kind: kind, Keep: 3}))
			if err := b.Probe(t.Context(), "w1"); err != nil {
				t.Errorf("kind %d of call %d: %v", kind, n, err)
			}
			if f.Calls() < n {
				break
			}
			var keys []string
			for o, err := range listOf(t, b) {
				keys = append(keys, fmt.Sprint(o.Key, err))
			}
			if fmt.Sprint(keys) != "[probe/w1<nil>]" {
				t.Errorf("the probe left %q", keys)
			}
		}
	}
}

func listOf(t *testing.T, b *blob.Bucket) iter.Seq2[blob.Object, error] {
	t.Helper()
	return b.List(t.Context(), "")
}
