package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/query"
)

// TestDamageOverHTTP: a block whose index, whose samples, or which altogether is damaged or gone makes a query fail with a status and type that say whose
// fault it is, and the name of the object; with partial_response=true the rest is answered, with a warning.
func TestDamageOverHTTP(t *testing.T) {
	bucket := blob.New(mem.New(), nil)
	store := catalog.New(bucket, nil, catalog.Components{})
	build := func(f blocks.Format, gen uint64, name string) (*blocks.Meta, []byte) {
		var b bytes.Buffer
		m, err := blocks.Build(t.Context(), &blocks.Params{Tenant: "acme", Day: 0, Writer: "w", Generation: gen, Format: f}, func(yield func(blocks.BuildSeries, error) bool) {
			for i := range 50 {
				c := &model.Columns{}
				for n := range int64(20) {
					c.Append(1_000_000+n*1000, float64(n*n)*1.1+float64(i))
				}
				if !yield(blocks.BuildSeries{Labels: labels.FromStrings("__name__", name, "i", fmt.Sprintf("%02d", i)), Columns: c}, nil) {
					return
				}
			}
		}, &b)
		require.NoError(t, err)
		_, err = bucket.Put(t.Context(), blocks.Key(m), b.Bytes())
		require.NoError(t, err)
		_, err = store.Commit(t.Context(), "acme", 0, catalog.Add{Writer: "w", Generation: gen, Meta: m})
		require.NoError(t, err)
		return m, b.Bytes()
	}
	build(blocks.Native, 1, "good")
	for gen, f := range []blocks.Format{blocks.Native, blocks.Parquet} {
		name := fmt.Sprint("bad", gen)
		m, good := build(f, uint64(gen+2), name)
		flipped := func(s blocks.Section) []byte {
			b := bytes.Clone(good)
			for at := s.Offset; at < s.End(); at += 16 {
				b[at] ^= 0x10
			}
			return b
		}
		for what, damaged := range map[string][]byte{
			"index": flipped(m.SeriesPages), "samples": flipped(m.Chunks), "cut": good[:40], "gone": nil,
		} {
			t.Run(name+" "+what, func(t *testing.T) {
				if damaged == nil {
					require.NoError(t, bucket.Delete(t.Context(), blocks.Key(m)))
				} else {
					_, err := bucket.Put(t.Context(), blocks.Key(m), damaged)
					require.NoError(t, err)
				}
				defer func() {
					_, err := bucket.Put(t.Context(), blocks.Key(m), good)
					require.NoError(t, err)
				}()
				q, err := query.New(nil, query.Components{Catalog: store, Blocks: blocks.Stored{Bucket: bucket}})
				require.NoError(t, err)
				defer func() { require.NoError(t, q.Close()) }()
				p := query.NewParser()
				e := query.NewEngine(nil, p, nil, nil)
				defer func() { require.NoError(t, e.Close()) }()
				h, err := New(nil, Components{Engine: e, Queryable: q, Parser: p})
				require.NoError(t, err)
				for _, form := range []struct{ path, form, want string }{
					{"/query", `query=count({__name__=~".%2B"})&time=1015`, `"50"`},
					{"/query_range", `query=sum(count_over_time({__name__=~"good|bad.*"}[15s]))&start=1015&end=1015&step=1`, `"750"`},
					{"/query", `query={__name__="` + name + `"}[1m]&time=1015`, `[]`}, // of the engine alone
				} {
					status, answer := call(t, h, http.MethodGet, form.path, form.form)
					require.Equal(t, http.StatusInternalServerError, status, "%+v", answer)
					require.Equal(t, "internal", answer.ErrorType, "%+v", answer)
					require.Contains(t, answer.Error, m.ID)
					status, answer = call(t, h, http.MethodGet, form.path, form.form+"&partial_response=true")
					require.Equal(t, http.StatusOK, status, "%+v", answer)
					require.NotEmpty(t, answer.Warnings)
					for _, warning := range answer.Warnings {
						require.Contains(t, warning, m.ID)
					}
					require.Contains(t, string(answer.Data), form.want)
				}
				if what == "samples" {
					return // names do not need them
				}
				form := `match[]={__name__=~".%2B"}&start=1000&end=1020`
				status, answer := call(t, h, http.MethodGet, "/series", form)
				require.Equal(t, http.StatusInternalServerError, status, "%+v", answer)
				require.Contains(t, answer.Error, m.ID)
				status, answer = call(t, h, http.MethodGet, "/series", form+"&partial_response=true")
				require.Equal(t, http.StatusOK, status, "%+v", answer)
				require.NotEmpty(t, answer.Warnings)
				var series []map[string]string
				require.NoError(t, json.Unmarshal(answer.Data, &series))
				require.Len(t, series, 50)
			})
		}
		_, err := store.Commit(t.Context(), "acme", 0, catalog.Retire{IDs: []string{m.ID}})
		require.NoError(t, err)
	}
}
