package lifecycle

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// TestRetentionPlans runs the scripts of testdata/retention. Commands beside those of TestMergePlans:
//
//	retention [raw=AGE]       with rules, a line each: SELECTOR AGE
//	expire at=DAYS            prints what has expired so many days after the day's end; a tombstone is entered
//	rewrite ID…               the tombstones that mask these blocks are applied to them
//	forget                    tombstones leave the catalog
func TestRetentionPlans(t *testing.T) {
	files, err := filepath.Glob("testdata/retention/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			s := &retentionScript{t: t}
			got := runScriptWith(want, s.run)
			if *rewrite {
				require.NoError(t, os.WriteFile(file, got, 0o644))
				return
			}
			require.Equal(t, string(want), string(got))
		})
	}
}

type retentionScript struct {
	t *testing.T
	p *catalog.Partition
	r Retention
}

func (s *retentionScript) run(lines []string) string {
	f := strings.Fields(lines[0])
	switch f[0] {
	case "retention":
		s.r = Retention{}
		for _, a := range f[1:] {
			s.r.Raw = Age(strings.TrimPrefix(a, "raw="))
		}
		for _, line := range lines[1:] {
			at := strings.LastIndex(line, " ")
			s.r.Rules = append(s.r.Rules, RetentionRule{Matchers: strings.TrimSpace(line[:at]), Raw: Age(line[at+1:])})
		}
		if err := s.r.Check(); err != nil {
			return err.Error() + "\n"
		}
		return fmt.Sprintf("%d rules\n", len(s.r.Rules))
	case "expire":
		return s.expire(int64(option(s.t, f, "at")) * model.MsPerDay)
	case "rewrite":
		return s.rewrite(f[1:])
	case "forget":
		s.p.Tombstones = nil
		return ""
	}
	return run(s.t, &s.p, lines)
}

func (s *retentionScript) expire(ageMs int64) string {
	now := testDay.Range().MaxMs + 1 + ageMs
	var wake string
	if at := retentionWake(s.p, &s.r, now); at > 0 {
		wake = fmt.Sprintf("; next after %v days", float64(at-testDay.Range().MaxMs-1)/float64(model.MsPerDay))
	}
	e, why, err := PlanRetention(s.p, &s.r, now)
	switch {
	case err != nil:
		return err.Error() + "\n"
	case e == nil:
		return "none: " + why + wake + "\n"
	case e.Tombstone == nil:
		return "retire " + strings.Join(ids(e.Retire), " ") + wake + "\n"
	}
	x := *e.Tombstone
	s.p.Generation = max(s.p.Generation, s.p.Blocks[len(s.p.Blocks)-1].Order) + 1
	x.Order = s.p.Generation
	s.p.Tombstones = append(s.p.Tombstones, x)
	return fmt.Sprintf("tombstone …%s:\n%s%s\n", x.ID[len("retention-")+16:], x.Matchers, wake)
}

func (s *retentionScript) rewrite(blocks []string) string {
	for i := range s.p.Blocks {
		b := &s.p.Blocks[i]
		if !slices.Contains(blocks, b.ID) {
			continue
		}
		m := *b.Meta
		for _, x := range s.p.Tombstones {
			if b.Order <= x.Order {
				m.Tombstones = append(slices.Clip(m.Tombstones), x.ID)
			}
		}
		b.Meta = &m
	}
	return ""
}

// TestExpiredSelectors compares the union of selectors with what the rules say, on random rules and series.
func TestExpiredSelectors(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	value := func() string { return fmt.Sprint(rng.IntN(3)) }
	for range 300 {
		var r Retention
		for range rng.IntN(5) {
			m := []string{fmt.Sprintf("a=%q", value())}
			for range rng.IntN(3) {
				m = append(m, fmt.Sprintf("%c%s%q", 'b'+rng.IntN(2), []string{"=", "!=", "=~", "!~"}[rng.IntN(4)], value()))
			}
			r.Rules = append(r.Rules, RetentionRule{Matchers: "{" + strings.Join(m, ",") + "}", Raw: Age(fmt.Sprintf("%dd", 1+rng.IntN(9)))})
		}
		r.Raw = Age(fmt.Sprintf("%dd", 1+rng.IntN(9)))
		require.NoError(t, r.Check())
		rules, err := r.parse("")
		require.NoError(t, err)
		days := rng.IntN(11)
		e := rules.at(int64(days) * model.MsPerDay)
		var selectors [][]*labels.Matcher
		if text := catalog.FormatSelectors(e.selectors()); text != "" {
			selectors, err = catalog.ParseSelectors(text)
			require.NoError(t, err)
		}
		for range 30 {
			ls := labels.FromStrings("__name__", "m", "a", value(), "b", value(), "c", value())
			want := days >= age(r.Raw)
			for i, rule := range rules.rules {
				if matches(rule.matchers, ls) {
					want = days >= age(r.Rules[i].Raw)
					break
				}
			}
			require.Equal(t, want, slices.ContainsFunc(selectors, func(m []*labels.Matcher) bool { return matches(m, ls) }), "%+v after %d days: %v", r, days, ls)
		}
		require.Equal(t, e.nothing(), len(selectors) == 0)
	}
}

func age(a Age) int { return int(a.ms() / model.MsPerDay) }

func matches(ms []*labels.Matcher, ls labels.Labels) bool {
	return !slices.ContainsFunc(ms, func(m *labels.Matcher) bool { return !m.Matches(ls.Get(m.Name)) })
}

func TestRetentionSettings(t *testing.T) {
	root := &catalog.Root{Tenant: "t", Settings: map[string]string{"other": "kept"}}
	got, err := RetentionOf(root)
	require.NoError(t, err)
	require.Equal(t, Retention{}, got)
	want := &Retention{Raw: "90d", Rollups: Forever, Rules: []RetentionRule{{Matchers: `{job="a\nb"}`, Raw: "7d"}, {Matchers: `up`, Rollups: "2y"}}}
	require.NoError(t, want.Check())
	require.NoError(t, SetRetention(root, want))
	got, err = RetentionOf(root)
	require.NoError(t, err)
	require.Equal(t, *want, got)
	require.NoError(t, SetRetention(root, nil))
	require.Equal(t, map[string]string{"other": "kept"}, root.Settings)
	for _, bad := range []string{``, `30d`, `{"raw":"30"}`, `{"raw":"1h"}`, `{"raw":"-3d"}`, `{"rules":[{"matchers":"{","raw":"3d"}]}`, `{"rules":[{"matchers":"up"}]}`, `{"later":1}`} {
		root.Settings[RetentionSetting] = bad
		_, err = RetentionOf(root)
		require.ErrorIs(t, err, model.ErrInvalid, bad)
	}
	many := &Retention{}
	for i := range 9 {
		many.Rules = append(many.Rules, RetentionRule{Matchers: fmt.Sprintf(`{a="%d",b="c"}`, i), Raw: "2d"})
	}
	require.NoError(t, many.Check(), "short ages cost nothing")
	many.Raw = "1d"
	require.ErrorContains(t, many.Check(), "after 24h0m0s it takes more than 256 selectors")
	many.Rules = make([]RetentionRule, maxRetentionRules+1)
	require.ErrorIs(t, many.Check(), model.ErrInvalid)
	require.ErrorContains(t, (&Retention{Rules: []RetentionRule{{Matchers: "up\ndown", Raw: "3d"}}}).Check(), "more than one selector")
	require.Equal(t, Age("3d"), Retention{}.with("3d", "").Raw)
	require.Equal(t, Age("2d"), Retention{Raw: "2d"}.with("3d", "").Raw)
}

// TestMergedLateBlock: a merge lists the tombstones of all its inputs, also those that the late one of them came too late for. It is not rid of what they mask.
func TestMergedLateBlock(t *testing.T) {
	s := &retentionScript{t: t, r: Retention{Rules: []RetentionRule{{Matchers: `{env="dev"}`, Raw: "2d"}}}}
	s.run([]string{"catalog", "early 4 1"})
	first := s.expire(2 * model.MsPerDay)
	require.Contains(t, first, "…-4:")
	s.rewrite([]string{"early"})
	s.run([]string{"forget"})
	require.Contains(t, s.expire(3*model.MsPerDay), "none")
	s.p.Blocks[0].Order = 9 // merged with a block of order 9 that was flushed after the tombstone
	require.Contains(t, s.expire(3*model.MsPerDay), "…-9:")
	s.rewrite([]string{"early"})
	require.Contains(t, s.expire(3*model.MsPerDay), "none")
}
