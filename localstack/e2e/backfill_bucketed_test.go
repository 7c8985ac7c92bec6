//go:build e2e

package e2e

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/oklog/ulid/v2"

	"github.com/varvedb/varve/blob"
)

// testThanos puts the blocks of two replicas into a bucket of each kind, as the sidecars of a Thanos do, of the second one all but the first block; both are taken over as
// one, and as two.
func (s *source) testThanos(t *testing.T) {
	for _, from := range shippable(t) {
		t.Run(from.name, func(t *testing.T) {
			in := open(t, from).Bucket
			uploadBlocks(t, in, s.snapshot, "", map[string]string{"cluster": "c", "replica": "a"}, 0)
			uploadBlocks(t, in, s.snapshot, "", map[string]string{"cluster": "c", "replica": "b"}, 1)
			args := []string{"--from", "thanos", "--replica-label", "replica", from.url}
			backfillTwice(t, from.fresh(t), s.want.with("cluster", "c"), args...)

			to := from.fresh(t)
			backfill(t, to, "--from", "thanos", "--match", `{replica="a"}`, from.url)
			requireHolds(t, to, s.want.with("cluster", "c").with("replica", "a"))
		})
	}
}

// testMimir puts the blocks below a tenant, as Mimir does.
func (s *source) testMimir(t *testing.T) {
	from := fileBucket(t)
	uploadBlocks(t, open(t, from).Bucket, s.snapshot, "team-a/", nil, 0)
	backfillTwice(t, fileBucket(t), s.want, "--from", "mimir", "--source-tenant", "team-a", from.url)
}

// uploadBlocks puts blocks of a directory into a bucket, under names of their own, with the external labels in their meta.json. The first blocks are left out.
func uploadBlocks(t *testing.T, to *blob.Bucket, dir, prefix string, external map[string]string, leftOut int) {
	t.Helper()
	metas, err := filepath.Glob(filepath.Join(dir, "*", "meta.json"))
	if err != nil || len(metas) < 3 {
		t.Fatalf("%v in %s, %v", metas, dir, err)
	}
	for _, file := range metas[leftOut:] {
		id := ulid.Make().String()
		var meta map[string]any
		raw, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(raw, &meta)
		}
		if err != nil {
			t.Fatal(err)
		}
		meta["ulid"] = id
		meta["compaction"] = map[string]any{"level": 1, "sources": []string{id}}
		meta["thanos"] = map[string]any{"version": 1, "labels": external, "downsample": map[string]any{"resolution": 0}, "source": "sidecar"}
		if raw, err = json.Marshal(meta); err != nil {
			t.Fatal(err)
		}
		put := func(name string, data []byte) {
			if _, err := to.Put(t.Context(), prefix+id+"/"+name, data); err != nil {
				t.Fatal(err)
			}
		}
		err = fs.WalkDir(os.DirFS(filepath.Dir(file)), ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || name == "meta.json" {
				return err
			}
			data, err := os.ReadFile(filepath.Join(filepath.Dir(file), name))
			put(name, data)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		put("meta.json", raw) // last, as it says that the block is there
	}
}

// with is the contents with one more label on each series.
func (c contents) with(name, value string) contents {
	out := contents{}
	for key, points := range c {
		m := map[string]string{name: value}
		for key != "" {
			n, rest, _ := strings.Cut(key, "=")
			quoted, err := strconv.QuotedPrefix(rest)
			if err != nil {
				panic(err) // keyOf made it
			}
			m[n], _ = strconv.Unquote(quoted)
			key = rest[len(quoted)+1:]
		}
		out[keyOf(m)] = points
	}
	return out
}
