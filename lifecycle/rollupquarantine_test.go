package lifecycle

import (
	"context"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/model"
)

// TestRollupsBesideDamagedBlocks: a raw block that is in the rollups is damaged, and what lies beside it is rewritten, by a delete or a merge with late samples. What
// the rollups have of it must not be added to them a second time.
func TestRollupsBesideDamagedBlocks(t *testing.T) {
	for name, change := range map[string]func(w *rollWorld){
		"delete": func(w *rollWorld) {
			del, _ := w.deleter()
			_, err := del.Delete(context.Background(), w.request("d1", `{i="0"}`, 3_700_000, 11_000_000))
			require.NoError(w.t, err)
			base := testDay.Range().MinMs
			w.forget(func(ls labels.Labels) bool { return ls.Get("i") == "0" }, model.TimeRange{MinMs: base + 3_700_000, MaxMs: base + 11_000_000})
		},
		"late samples": func(w *rollWorld) { w.scrape(3, 5, true, 0, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newRollWorld(t)
			w.retain(yearly("40d"))
			w.scrape(0, 24, true)
			w.daysLater(0)
			l, _ := w.worker(rolls())
			w.settle(l, 5)
			w.same("rolled")
			p := w.partition()
			require.Len(t, p.Blocks, 3)
			data, _, err := w.own.Get(context.Background(), blocks.Key(p.Blocks[0].Meta))
			require.NoError(t, err)
			data[len(data)/3] ^= 1
			_, err = w.own.Put(context.Background(), blocks.Key(p.Blocks[0].Meta), data)
			require.NoError(t, err)
			change(w)
			for range 15 {
				w.later(3)
				_, err := l.Once(context.Background())
				require.NoError(t, err)
			}
			require.Len(t, w.partition().Quarantined, 1)
			for _, f := range rollupFormats {
				want := w.want(f)
				for key, x := range w.rolled(f) {
					require.LessOrEqual(t, x.V[model.Count], want[key].V[model.Count], key)
				}
			}
		})
	}
}
