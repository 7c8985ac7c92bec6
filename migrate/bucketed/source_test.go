package bucketed

import (
	"context"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob/countblob"
	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/migratetest"
	"github.com/varvedb/varve/model"
)

var first = migratetest.FirstDay.Range().MinMs

// thanos fills the bucket with blocks of two clusters: one has two replicas that scrape at different times and have gaps, in blocks of eight hours and of two weeks.
func (w *world) thanos() (a, b samples) {
	up := `{__name__="up", job="x"}`
	hist := `{__name__="native", job="x"}`
	a = samples{up: every(first, first+2*model.MsPerDay, 30*minute), hist: histograms(w.T, every(first, first+2*model.MsPerDay, hour))}
	b = samples{up: every(first-4*model.MsPerDay+7*minute, first+10*hour, 30*minute), hist: histograms(w.T, every(first+7*minute, first+10*hour, hour))}
	gap := &model.Columns{}
	for i, at := range a[up].T {
		if at < first+3*hour || at >= first+6*hour {
			gap.AppendAt(a[up], i)
		}
	}
	a[up] = gap
	replicaA, replicaB := map[string]string{"cluster": "c1", "replica": "a"}, map[string]string{"cluster": "c1", "replica": "b"}
	for from := first; from < first+2*model.MsPerDay; from += 8 * hour {
		part := samples{}
		for text, c := range a {
			part[text] = within(c, from, from+8*hour)
		}
		w.upload(block{external: replicaA, samples: part})
	}
	w.upload(block{external: replicaB, samples: b})
	return a, b
}

func within(c *model.Columns, from, to int64) *model.Columns {
	out := &model.Columns{}
	for i, at := range c.T {
		if at >= from && at < to {
			out.AppendAt(c, i)
		}
	}
	return out
}

func (w *world) apart(a, b samples) map[string]string {
	out := map[string]string{}
	want(w.T, out, a, map[string]string{"cluster": "c1", "replica": "a"})
	want(w.T, out, b, map[string]string{"cluster": "c1", "replica": "b"})
	return out
}

// TestReplicasApart keeps replicas apart if nobody says which label tells them apart; a second run reads no block.
func TestReplicasApart(t *testing.T) {
	w := newWorld(t)
	all := w.apart(w.thanos())
	r := w.mustRun(migratetest.Small(), nil)
	require.Empty(t, r.Named)
	require.Equal(t, 6, r.Days)
	w.Complete(all)

	d := countblob.Wrap(w.from, nil)
	r, err := w.run(d, migratetest.Small(), nil)
	require.NoError(t, err)
	require.Zero(t, r.Blocks)
	require.Equal(t, 6, r.Already)
	require.Zero(t, fetched(d))

	// Another choice is another job.
	r = w.mustRun(migratetest.Small(), &Options{ReplicaLabels: []string{"replica"}})
	require.Zero(t, r.Already)
}

// TestReplicasAsOne follows one replica and fills its gaps, and takes everything of both if it is told so.
func TestReplicasAsOne(t *testing.T) {
	w := newWorld(t)
	a, b := w.thanos()
	for _, dedup := range []Dedup{Penalty, Chain} {
		all := map[string]string{}
		for text := range a {
			out := &model.Columns{}
			for d := migratetest.FirstDay - 4; d < migratetest.FirstDay+2; d++ {
				r := d.Range()
				of, other, day := within(a[text], r.MinMs, r.MaxMs+1), within(b[text], r.MinMs, r.MaxMs+1), &model.Columns{}
				penalty(day, of, other)
				if dedup == Chain {
					day = naive(of, other, func(int64) int64 { return 0 })
				}
				for i := range day.T {
					out.AppendAt(day, i)
				}
			}
			want(t, all, samples{text: out}, map[string]string{"cluster": "c1"})
		}
		w := w.again()
		w.mustRun(migratetest.Small(), &Options{ReplicaLabels: []string{"replica"}, Dedup: dedup})
		w.Complete(all)
	}
}

// TestOrderIsRestored gives series labels that come between theirs, or replace some of theirs, in more runs than one.
func TestOrderIsRestored(t *testing.T) {
	w := newWorld(t)
	all := map[string]string{}
	for n := range 3 {
		s := samples{}
		for _, text := range w.randomSeries(60) {
			s[text] = every(first+int64(n)*hour, first+int64(n+1)*hour, 20*minute)
		}
		// Replaced labels make one series of several, and their samples are equal.
		external := map[string]string{"prometheus": "p", "job": "outer", "__internal__": "x"}
		w.upload(block{external: external, samples: s})
		delete(external, "__internal__")
		want(t, all, s, external)
	}
	w.mustRun(migratetest.Small(), nil)
	w.Complete(all)
	w = w.again()
	bare := map[string]string{}
	for key, v := range all {
		for _, r := range []string{"0", "1", "2"} {
			key = strings.Replace(key, `, replica="`+r+`"`, "", 1)
		}
		bare[key] = v
	}
	w.mustRun(migratetest.Small(), &Options{ReplicaLabels: []string{"replica"}, Dedup: Chain})
	w.Complete(bare)
}

// TestLeftOut names what cannot be read, and reads what was compacted once.
func TestLeftOut(t *testing.T) {
	w := newWorld(t)
	s := func(from int64, hours int64) samples {
		return samples{`{__name__="m"}`: every(from, from+hours*hour, 10*minute)}
	}
	external := map[string]string{"cluster": "c"}
	add := func(b block) string {
		b.external = external
		return w.upload(b)
	}
	one := add(block{samples: s(first, 2)})
	two := add(block{samples: s(first+2*hour, 2), noFiles: true})
	add(block{samples: s(first, 4), sources: []string{one, two}})
	w.put(one+"/deletion-mark.json", []byte("{}")) // and two is not marked yet
	all := map[string]string{}
	want(t, all, s(first, 4), external)

	marked := add(block{samples: s(first+4*hour, 1)})
	w.put(marked+"/deletion-mark.json", []byte("{}"))
	elsewhere := add(block{samples: s(first+5*hour, 1)})
	w.put("markers/"+elsewhere+"-deletion-mark.json", []byte("{}"))
	w.put("markers/"+elsewhere+"-no-compact-mark.json", []byte("{}"))
	noMeta := add(block{samples: s(first+6*hour, 1)})
	w.remove(noMeta + "/meta.json")
	noChunks := add(block{samples: s(first+7*hour, 1)})
	w.remove(noChunks + "/chunks/000001")
	noChunksUnnamed := add(block{samples: s(first+8*hour, 1), noFiles: true})
	w.remove(noChunksUnnamed + "/chunks/000001")
	short := add(block{samples: s(first+9*hour, 1)})
	w.put(short+"/index", w.files[short+"/index"][:100])
	rubbish := add(block{samples: s(first+10*hour, 1)})
	w.put(rubbish+"/meta.json", []byte("{"))
	other := add(block{samples: s(first+11*hour, 1)})
	w.put(other+"/meta.json", w.files[one+"/meta.json"])
	damaged := add(block{samples: s(first+12*hour, 1), noFiles: true})
	index := append([]byte(nil), w.files[damaged+"/index"]...)
	index[len(index)-3] ^= 1
	w.put(damaged+"/index", index)
	add(block{samples: s(first, 4), sources: []string{two, one}, resolutionMs: 300_000})
	coarse := add(block{samples: s(first-20*hour, 4), resolutionMs: 3_600_000})
	w.put("debug/metas/"+one+".json", []byte("{}"))

	r := w.mustRun(migratetest.Small(), nil)
	text := named(r)
	for name, why := range map[string]string{
		marked: "marked for deletion", elsewhere: "marked for deletion", noMeta: "no meta.json", noChunks: "chunks/000001", noChunksUnnamed: "no chunks", short: "has 100 bytes",
		rubbish: "meta.json", other: "that of block " + one, damaged: "checksum", coarse: "downsampled to 1h0m0s, and its raw samples, from 2026-02-28T04:00:00Z",
	} {
		require.Regexp(t, name+".*"+why, text)
	}
	require.Contains(t, text, "1 blocks are downsampled to 5m0s; their raw samples are taken (24 samples)")
	require.Equal(t, map[string]int64{"block": 9, "downsampled": 2}, r.Skipped)
	w.Complete(all)

	// Without the block that was compacted, those that it was made of are read, but for the one that is marked.
	strict := migrate.NewSkips(true)
	src := w.source(w.from, strict, nil)
	defer func() { require.NoError(t, src.Close()) }()
	_, err := src.Days(context.Background(), model.TimeRange{MinMs: model.MinTimeMs, MaxMs: model.MaxTimeMs}, nil)
	require.ErrorIs(t, err, model.ErrInvalid)
	src2 := w.source(w.from, strict, nil)
	defer func() { require.NoError(t, src2.Close()) }()
	_, err = src2.Days(context.Background(), model.TimeRange{MinMs: first, MaxMs: first + hour}, nil)
	require.ErrorContains(t, err, "meta.json", "a block of which nothing is known may be of any time")
}

// TestStrict is not ended by what is redundant.
func TestStrict(t *testing.T) {
	w := newWorld(t)
	s := samples{`{__name__="m"}`: every(first, first+hour, minute)}
	one := w.upload(block{samples: s})
	w.upload(block{samples: s, sources: []string{one}, resolutionMs: 300_000})
	skips := migrate.NewSkips(true)
	src := w.source(w.from, skips, nil)
	c, _ := w.Components()
	r, err := migrate.Run(context.Background(), migratetest.Small(), c, src, skips)
	require.NoError(t, err)
	require.Equal(t, int64(60), r.Samples)
	require.Equal(t, map[string]int64{"downsampled": 1}, r.Skipped)
	require.NoError(t, src.Close())
}

// TestMimir reads a tenant: labels of the machinery are none of the series, shards of the same blocks do not stand for one another, and copies of ingesters are one.
func TestMimir(t *testing.T) {
	w := newWorld(t)
	at := func(n int) samples {
		return samples{[]string{`{__name__="m", i="1"}`, `{__name__="m", i="2"}`}[n]: every(first, first+4*hour, 10*minute)}
	}
	both := samples{}
	for n := range 2 {
		for text, c := range at(n) {
			both[text] = c
		}
	}
	org := func(more ...string) map[string]string {
		out := map[string]string{"__org_id__": "team", "stray": "label"}
		for i := 0; i < len(more); i += 2 {
			out[more[i]] = more[i+1]
		}
		return out
	}
	one := w.upload(block{prefix: "team/", samples: both, external: org("__ingester_id__", "1")})
	two := w.upload(block{prefix: "team/", samples: both, external: org("__ingester_id__", "2")})
	w.upload(block{prefix: "other/", samples: samples{`{__name__="no"}`: every(first, first+hour, minute)}})
	all := map[string]string{}
	want(t, all, both, nil)
	o := &Options{Tenant: "team", NoExternalLabels: true}
	w.mustRun(migratetest.Small(), o)
	w.Complete(all)

	w.upload(block{prefix: "team/", samples: at(0), sources: []string{one, two}, external: org(shardLabel, "1_of_2")})
	again := w.again()
	again.mustRun(migratetest.Small(), o)
	again.Complete(all, "one shard is up yet")
	w.upload(block{prefix: "team/", samples: at(1), sources: []string{one, two}, external: org(shardLabel, "2_of_2")})
	for _, name := range []string{one, two} {
		w.put("team/markers/"+name+"-deletion-mark.json", []byte("{}"))
	}
	again = w.again()
	r := again.mustRun(migratetest.Small(), o)
	require.Empty(t, r.Named)
	again.Complete(all)

	_, err := w.again().run(w.from, migratetest.Small(), nil)
	require.ErrorIs(t, err, model.ErrNotFound)
	require.ErrorContains(t, err, "tenants: other, team")
}

// TestChosen takes some series of some time: matchers see external labels, and the label of the replicas.
func TestChosen(t *testing.T) {
	w := newWorld(t)
	a, b := w.thanos()
	r := model.TimeRange{MinMs: first - model.MsPerDay, MaxMs: first + 5*hour}
	cfg := migratetest.Small()
	cfg.Range = &r
	cfg.Matchers = []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "replica", "b"), labels.MustNewMatcher(labels.MatchEqual, "cluster", "c1")}
	all := map[string]string{}
	for text := range a {
		want(t, all, samples{text: within(b[text], r.MinMs, r.MaxMs+1)}, map[string]string{"cluster": "c1"})
	}
	d := countblob.Wrap(w.from, nil)
	_, err := w.run(d, cfg, &Options{ReplicaLabels: []string{"replica"}})
	require.NoError(t, err)
	w.Complete(all)
	require.Equal(t, 4, fetched(d), "two blocks reach into it")
}

// TestDryRun fetches nothing, and comes near to what a run finds.
func TestDryRun(t *testing.T) {
	w := newWorld(t)
	w.thanos()
	cfg := migratetest.Small()
	cfg.DryRun = true
	d := countblob.Wrap(w.from, nil)
	o := &Options{ReplicaLabels: []string{"replica"}, Estimate: true}
	dry, err := w.run(d, cfg, o)
	require.NoError(t, err)
	require.Zero(t, fetched(d))
	require.True(t, dry.Estimated)
	real := w.mustRun(migratetest.Small(), &Options{ReplicaLabels: []string{"replica"}})
	require.Equal(t, real.Days, dry.Days)
	require.InEpsilon(t, real.Samples, dry.Samples, 0.3)
	require.Positive(t, dry.Bytes)
	require.Positive(t, dry.Requests)
}

// TestGone ends the job when a block goes, and the next one finds what it became.
func TestGone(t *testing.T) {
	w := newWorld(t)
	m := `{__name__="m"}`
	w.upload(block{samples: samples{m: every(first, first+hour, minute)}})
	two := w.upload(block{samples: samples{m: every(first+model.MsPerDay, first+model.MsPerDay+hour, minute)}})
	skips := migrate.NewSkips(false)
	src := w.source(w.from, skips, nil)
	_, err := src.Days(context.Background(), model.TimeRange{MinMs: model.MinTimeMs, MaxMs: model.MaxTimeMs}, nil)
	require.NoError(t, err)
	for key := range w.files {
		if strings.HasPrefix(key, two) {
			require.NoError(t, w.from.Delete(context.Background(), []string{key}))
		}
	}
	for _, err = range src.Series(context.Background(), (migratetest.FirstDay + 1).Range(), func(labels.Labels) bool { return true }) {
		require.Error(t, err)
	}
	require.ErrorIs(t, err, model.ErrNotFound)
	require.ErrorContains(t, err, "compacted or deleted meanwhile")
	require.ErrorContains(t, err, two)
	require.NoError(t, src.Close())
}

// TestMendedBlock uploads a block again that was cut: it is taken over too, though the day was complete without it.
func TestMendedBlock(t *testing.T) {
	w := newWorld(t)
	one, two := samples{`{__name__="m"}`: every(first, first+hour, minute)}, samples{`{__name__="n"}`: every(first, first+hour, minute)}
	w.upload(block{samples: one, noFiles: true})
	index := w.upload(block{samples: two, noFiles: true}) + "/index"
	whole := w.files[index]
	w.put(index, whole[:len(whole)/2])
	r := w.mustRun(migratetest.Small(), nil)
	require.Equal(t, map[string]int64{"block": 1}, r.Skipped, named(r))
	all := map[string]string{}
	want(t, all, one, nil)
	w.Complete(all)
	require.Equal(t, 1, w.mustRun(migratetest.Small(), nil).Already)

	w.put(index, whole)
	require.Empty(t, w.mustRun(migratetest.Small(), nil).Skipped)
	want(t, all, two, nil)
	got, _, _ := w.Read()
	migratetest.Same(t, all, got)
}
