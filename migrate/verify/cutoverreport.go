package verify

import (
	"fmt"
	"time"

	"github.com/varvedb/varve/migrate"
)

// ProblemKind is what is wrong with a series of the live path.
type ProblemKind string

// The kinds, of which a series has the first that is true.
const (
	MissingLive ProblemKind = "missing"      // no sample since the end of the source
	Silent      ProblemKind = "silent"       // it came, and comes no more
	HandoverGap ProblemKind = "handover gap" // it came too late after the last sample of the source
	LiveGap     ProblemKind = "gap"          // it has gaps since
	Slower      ProblemKind = "slower"       // at more than one and a half of the interval that it had
)

// Problem is a series that keeps the old database from being switched off. Times are 0 for none.
type Problem struct {
	Kind   ProblemKind `json:"kind"`
	Series string      `json:"series"`
	// SourceLastMs is the last sample at the source, FirstMs and LastMs are those of the live path behind it.
	SourceLastMs     int64 `json:"source_last_ms"`
	FirstMs          int64 `json:"first_ms"`
	LastMs           int64 `json:"last_ms"`
	SourceIntervalMs int64 `json:"source_interval_ms"`
	IntervalMs       int64 `json:"interval_ms"`
	// GapMs is the length of the gap, or of the longest of Gaps, which begins at GapAtMs.
	GapMs   int64 `json:"gap_ms"`
	GapAtMs int64 `json:"gap_at_ms"`
	Gaps    int64 `json:"gaps"`
}

// CutoverReport is what came of a check.
type CutoverReport struct {
	// Ready: the old database may be switched off, as far as samples tell. Else Reasons say why not. Notes are to be thought of in either case.
	Ready   bool     `json:"ready"`
	Reasons []string `json:"reasons"`
	Notes   []string `json:"notes"`
	// History is the comparison of what was taken over; nil if it was left out.
	History *Report `json:"history"`
	// EndMs is the end of the source, NowMs when the live path was asked.
	EndMs int64 `json:"end_ms"`
	NowMs int64 `json:"now_ms"`
	// EndedAtSource series of the window had ended before its end and are not expected to go on; QuietAtSource of them without a stale marker.
	EndedAtSource int64 `json:"ended_at_source_series"`
	QuietAtSource int64 `json:"quiet_at_source_series"`
	// Expected series were alive at the end. Covered of them go on as they should, EndedSince of those ended since by a stale marker; NotDue were alive, and nothing was due yet.
	Expected   int64 `json:"expected_series"`
	Covered    int64 `json:"covered_series"`
	EndedSince int64 `json:"ended_series"`
	NotDue     int64 `json:"not_due_series"`
	// Wrong counts the others by what is wrong with them, Problems are the first.
	Wrong    map[ProblemKind]int64 `json:"wrong_series"`
	Problems []Problem             `json:"problems"`
	// LongestHandoverMs is the longest time from the last sample of the source to the first one behind, of all series; LongestGapMs the longest gap since.
	LongestHandoverMs int64 `json:"longest_handover_ms"`
	LongestGapMs      int64 `json:"longest_gap_ms"`
	// OfRules are expected series that rules make, by their names.
	OfRules int64 `json:"series_of_rules"`
	// Unseen is what could not be looked at of the live path.
	Unseen []migrate.Skip `json:"unseen"`

	known int64 // expected series of which the live path has the history too
}

// add counts a series whose state is settled.
func (r *CutoverReport) add(s *state) {
	if s.endedAtSource {
		r.EndedAtSource++
		if s.quiet {
			r.QuietAtSource++
		}
		return
	}
	r.Expected++
	if s.known {
		r.known++
	}
	if s.ofRule {
		r.OfRules++
	}
	if s.first > 0 {
		r.LongestHandoverMs = max(r.LongestHandoverMs, s.first-s.sourceLast)
	}
	r.LongestGapMs = max(r.LongestGapMs, s.gapMs)
	switch {
	case s.found != "":
		r.Wrong[s.found]++
	case s.first == 0:
		r.NotDue++
	default:
		r.Covered++
		if s.ended {
			r.EndedSince++
		}
	}
}

// judge decides.
func (r *CutoverReport) judge(cfg *CutoverConfig) {
	if r.History != nil && !r.History.Equal {
		r.Reasons = append(r.Reasons, "the history in the bucket is not that of the source")
	}
	if r.Expected == 0 {
		r.Reasons = append(r.Reasons, fmt.Sprintf("no series of the source was alive in the %s before %s", cfg.Window, timeText(r.EndMs)))
	}
	for _, w := range []struct {
		kind ProblemKind
		text string
	}{
		{MissingLive, "of %d series the live path has nothing since the end of the source"},
		{Silent, "%d series came by the live path and come no more"},
		{HandoverGap, "%d series have a gap between the end of the source and the live path; a backfill of a newer snapshot may close it"},
		{LiveGap, "%d series have gaps since; a backfill of a newer snapshot may close them"},
		{Slower, "%d series come less often than at the source"},
	} {
		if n := r.Wrong[w.kind]; n > 0 {
			r.Reasons = append(r.Reasons, fmt.Sprintf(w.text, n))
		}
	}
	if r.NotDue > 0 {
		r.Reasons = append(r.Reasons, fmt.Sprintf("of %d series nothing was due yet since the end of the source: ask again in a while", r.NotDue))
	}
	if r.Covered > 0 && r.Covered == r.EndedSince {
		r.Reasons = append(r.Reasons, "all series that went on have ended since, by stale markers: nothing comes any more")
	} else if 10*r.EndedSince > r.Expected {
		r.Notes = append(r.Notes, fmt.Sprintf("%d of %d series have ended since, by stale markers: are their targets gone?", r.EndedSince, r.Expected))
	}
	if r.Covered > 0 && r.known == 0 {
		r.Reasons = append(r.Reasons, fmt.Sprintf("the live path has nothing of the %s before the end of the source: is it a server on this bucket?", cfg.Window))
	}
	if len(r.Unseen) > 0 && r.Wrong[MissingLive]+r.Wrong[Silent]+r.NotDue > 0 {
		r.Reasons = append(r.Reasons, "not all of the live path could be seen: ask the server (--url)")
	}
	if r.History == nil {
		r.Notes = append(r.Notes, "the history was not compared")
	} else if r.History.Equal && len(r.History.Named) > 0 {
		r.Notes = append(r.Notes, "the backfill left things out of the source, which go with it")
	}
	if r.OfRules > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("%d series are made by rules, by their names: something else has to evaluate these when the old server is off", r.OfRules))
	}
	if r.QuietAtSource > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("%d series stopped at the source before its end, without a stale marker, and were not looked for: if it was filled by several servers, check each, by --match", r.QuietAtSource))
	}
	if since := time.Duration(r.NowMs-r.EndMs) * time.Millisecond; since < 24*time.Hour {
		r.Notes = append(r.Notes, fmt.Sprintf("the live path was seen for %s only", since.Round(time.Second)))
	}
	r.Ready = len(r.Reasons) == 0
}
