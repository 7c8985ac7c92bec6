package lines

import (
	"fmt"
	"testing"

	commonmodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/migratetest"
	"github.com/varvedb/varve/model"
)

// TestRows takes exemplars and metadata of series that are taken, and of no others, under their new labels.
func TestRows(t *testing.T) {
	at := migratetest.FirstDay.Range().MinMs
	text := fmt.Sprintf(`# TYPE req histogram
# UNIT req_seconds seconds
# HELP req Time.
req_bucket{le="0.5",job="a"} 1 %[1]d # {trace="x"} 0.5 %[2]d
req_bucket{le="+Inf",job="a"} 2 %[1]d # {trace="y"} 7
req_bucket{le="0.5",job="b"} 1 %[1]d # {trace="z"} 0.5
# TYPE other counter
other_total{job="b"} 1 %[1]d # {trace="w"} 1
# TYPE up gauge
up{job="a"} 1 %[2]d
req_bucket{le="0.5",job="a"} 1 %[2]d # {trace="v"} 0.5 99999999999999
# EOF
`, at/1000, at/1000+60)
	path := write(t, "x.om", text)
	run := func(cfg *migrate.Config) (*migratetest.World, *migrate.Report) {
		w := migratetest.New(t)
		skips := migrate.NewSkips(false)
		src := NewText([]string{path}, true, skips, nil)
		defer func() { require.NoError(t, src.Close()) }()
		return w, w.Backfill(cfg, src, skips)
	}
	a := labels.MustNewMatcher(labels.MatchEqual, "job", "a")
	cfg := migratetest.Small()
	cfg.Matchers = []*labels.Matcher{a}
	w, r := run(cfg)
	require.Equal(t, []string{
		fmt.Sprintf(`{__name__="req_bucket", job="a", le="+Inf"} %d 7 {trace="y"}`, at), fmt.Sprintf(`{__name__="req_bucket", job="a", le="0.5"} %d 0.5 {trace="x"}`, at+60_000),
	}, w.Exemplars())
	require.Equal(t, map[string][]model.Metadata{
		"req": {{Type: commonmodel.MetricTypeHistogram, Help: "Time."}}, "up": {{Type: commonmodel.MetricTypeGauge}},
	}, w.Metadata())
	require.Equal(t, []int64{3, 4, 0, 2, 2, 1}, []int64{r.Series, r.Samples, r.Histograms, r.Exemplars, r.Metadata, r.Skipped["exemplars"]}, "%+v", r)

	rename := &relabel.Config{
		SourceLabels: commonmodel.LabelNames{"__name__"}, Regex: relabel.MustNewRegexp("(req.*)"), TargetLabel: "__name__", Replacement: "new_$1", Action: relabel.Replace, Separator: ";",
		NameValidationScheme: commonmodel.UTF8Validation,
	}
	drop := &relabel.Config{SourceLabels: commonmodel.LabelNames{"job"}, Regex: relabel.MustNewRegexp("b"), Action: relabel.Drop, Separator: ";", NameValidationScheme: commonmodel.UTF8Validation}
	cfg = migratetest.Small()
	cfg.Relabel = []*relabel.Config{rename, drop}
	w, _ = run(cfg)
	require.Equal(t, []string{
		fmt.Sprintf(`{__name__="new_req_bucket", job="a", le="+Inf"} %d 7 {trace="y"}`, at), fmt.Sprintf(`{__name__="new_req_bucket", job="a", le="0.5"} %d 0.5 {trace="x"}`, at+60_000),
	}, w.Exemplars())
	require.Contains(t, w.Metadata(), "new_req")
	require.NotContains(t, w.Metadata(), "req")
}

// TestForgedRows: no label of ours comes in from outside, and what bears one takes nothing of ours with it.
func TestForgedRows(t *testing.T) {
	at := migratetest.FirstDay.Range().MinMs
	w := migratetest.New(t)
	skips := migrate.NewSkips(false)
	lines := fmt.Sprintf(`{"metric":{"\u0000varve":"eup","job":"a"},"values":[1],"timestamps":[%[1]d]}
{"metric":{"\u0000varve":"mup"},"values":[1],"timestamps":[%[1]d]}
{"metric":{"__name__":"a\u0000b"},"values":[1],"timestamps":[%[1]d]}
{"metric":{"__name__":"up","a\u0000":"b"},"values":[1],"timestamps":[%[1]d]}
{"metric":{"__name__":"up","a":"","b":"\u0000"},"values":[1],"timestamps":[%[1]d]}
`, at)
	src := NewVictoria([]string{write(t, "x.jsonl", lines)}, skips, nil)
	defer func() { require.NoError(t, src.Close()) }()
	w.Backfill(migratetest.Small(), src, skips)
	require.Equal(t, map[string]int64{"series": 4}, skips.Counts())
	want := map[string]string{}
	sample(want, labels.FromStrings("__name__", "up", "b", "\x00"), at, 1)
	w.Complete(want)
	require.Empty(t, w.Metadata())
	require.Empty(t, w.Exemplars())
}
