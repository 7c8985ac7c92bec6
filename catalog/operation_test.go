package catalog

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/model"
)

// TestScripts runs the operations of testdata/*.txt on a partition in memory and compares what they print. A script is commands, each
// followed by a line of ---- and its output up to an empty line. -rewrite writes the output anew.
//
//	add WRITER/GENERATION [ID [FROM-TO [TOMBSTONE]]]   FROM and TO in minutes of the day; the tombstone was applied to the block
//	replace ID… by ID[+ID…] [FROM-TO [TOMBSTONE…]], which ends the job called merge
//	retire ID…   drop ID…   quarantine REASON ID…   readmit ID…
//	claim JOB HOLDER MINUTES               tombstone ID [FROM-TO]
//	settle TOMBSTONE ID…                   drop-tombstone ID…
//	roll ID… [over ROLLUP…] by ID[+ID…] [FROM-TO [TOMBSTONE…]]   IDs that begin with h are of 1h, others of 5m
//	thin ID…                               retires raw blocks that the rollups keep
//	mask SCOPE ID [FROM-TO]                a tombstone of raw or rollups
//	wait DURATION IN HOURS
//
// A leading ! shows only whether the operation counts as applied, without doing it.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			var got bytes.Buffer
			s := script{p: &Partition{Tenant: "t", Day: testDay}}
			output := false
			for lines := bufio.NewScanner(bytes.NewReader(want)); lines.Scan(); {
				line := lines.Text()
				switch {
				case line == "":
					output = false
				case output:
					continue
				case strings.HasPrefix(line, "#"):
				default:
					output = true
					fmt.Fprintf(&got, "%s\n----\n%s\n", line, s.run(t, strings.Fields(line)))
					continue
				}
				got.WriteString(line + "\n")
			}
			if *rewrite {
				require.NoError(t, os.WriteFile(file, got.Bytes(), 0o644))
			}
			require.Equal(t, string(want), got.String())
		})
	}
}

type script struct {
	p     *Partition
	nowMs int64
}

func (s *script) run(t *testing.T, f []string) string {
	if f[0] == "wait" {
		hours, err := strconv.Atoi(f[1])
		require.NoError(t, err)
		s.nowMs += int64(hours) * 3_600_000
		return s.show()
	}
	probe := strings.HasPrefix(f[0], "!")
	op := s.parse(t, strings.TrimPrefix(f[0], "!"), f[1:])
	outcome, done := op.applied(s.p)
	switch {
	case probe && !done:
		return "not applied"
	case done:
		return outcome.String()
	}
	next := s.p.clone()
	next.prune(s.nowMs)
	before := s.show()
	if err := op.apply(next, s.nowMs); err != nil {
		require.Equal(t, before, s.show(), "a refused operation changes nothing that is shared")
		for _, kind := range []error{ErrDropped, model.ErrInvalid, model.ErrConflict} {
			if errors.Is(err, kind) {
				return "error: " + err.Error()
			}
		}
		t.Fatalf("error of no kind: %v", err)
	}
	require.Equal(t, before, s.show(), "the old state does not change")
	next.advance(Nonce(next.Generation + 1))
	s.p = next
	if _, done := op.applied(s.p); !done {
		t.Fatalf("%v: applied is false after apply", op)
	}
	return s.show()
}

func (s *script) parse(t *testing.T, name string, args []string) Operation {
	switch name {
	case "add":
		writer, gen, ok := strings.Cut(args[0], "/")
		require.True(t, ok)
		g, err := strconv.ParseUint(gen, 10, 64)
		require.NoError(t, err)
		op := Add{Writer: writer, Generation: g}
		if len(args) > 1 {
			op.Meta = block(t, args[1:])
		}
		return op
	case "replace":
		for i, a := range args {
			if a != "by" {
				continue
			}
			r := Replace{Inputs: args[:i], Job: "merge"}
			if i+1 < len(args) {
				for _, id := range strings.Split(args[i+1], "+") {
					m := block(t, append([]string{id}, args[i+2:]...))
					m.Replaces = args[:i]
					r.Outputs = append(r.Outputs, m)
				}
			}
			return r
		}
	case "roll":
		return roll(t, args)
	case "thin":
		return Retire{IDs: args, Thin: true}
	case "mask":
		x := AddTombstone{ID: args[1], Range: testDay.Range(), Scope: map[string]Scope{"raw": ScopeRaw, "rollups": ScopeRollups}[args[0]]}
		if len(args) > 2 {
			x.Range = block(t, args[1:]).Range()
		}
		return x
	case "retire":
		return Retire{IDs: args}
	case "drop":
		return Drop{IDs: args}
	case "quarantine":
		return Quarantine{Reason: args[0], IDs: args[1:]}
	case "readmit":
		return Readmit{IDs: args}
	case "claim":
		minutes, err := strconv.Atoi(args[2])
		require.NoError(t, err)
		return TakeClaim{Job: args[0], Holder: args[1], UntilMs: s.nowMs + int64(minutes)*60_000}
	case "tombstone":
		x := AddTombstone{ID: args[0], Range: testDay.Range()}
		if len(args) > 1 {
			m := block(t, args)
			x.Range = m.Range()
		}
		return x
	case "settle":
		op := SettleTombstones{Applied: map[string][]string{}, Job: "merge"}
		for _, id := range args[1:] {
			op.Applied[id] = args[:1]
		}
		return op
	case "drop-tombstone":
		return DropTombstones{IDs: args}
	}
	t.Fatalf("unknown command %s %v", name, args)
	return nil
}

func roll(t *testing.T, args []string) Operation {
	r := Roll{Job: "roll"}
	by := slices.Index(args, "by")
	require.GreaterOrEqual(t, by, 0)
	r.Inputs = args[:by]
	if over := slices.Index(r.Inputs, "over"); over >= 0 {
		r.Inputs, r.Replaces = r.Inputs[:over], r.Inputs[over+1:]
	}
	if by+1 == len(args) {
		return r
	}
	for _, id := range strings.Split(args[by+1], "+") {
		m := block(t, append([]string{id}, args[by+2:]...))
		m.Format, m.Replaces = blocks.Rollup5m, r.Replaces
		if strings.HasPrefix(id, "h") {
			m.Format = blocks.Rollup1h
		}
		r.Outputs = append(r.Outputs, m)
	}
	return r
}

func block(t *testing.T, args []string) *blocks.Meta {
	m := meta(args[0], "w", 1)
	if len(args) > 1 {
		var from, to int64
		_, err := fmt.Sscanf(args[1], "%d-%d", &from, &to)
		require.NoError(t, err)
		m.MinT, m.MaxT = testDay.Range().MinMs+from*60_000, testDay.Range().MinMs+to*60_000
	}
	if len(args) > 2 {
		m.Tombstones = args[2:]
	}
	return m
}

// show prints the state.
func (s *script) show() string {
	p := s.p
	var b strings.Builder
	fmt.Fprintf(&b, "generation %d", p.Generation)
	if p.Thinned {
		b.WriteString(" thinned")
	}
	for _, e := range p.All() {
		kind := "live"
		if IsRollup(e.Format) {
			kind = "rollup"
		}
		fmt.Fprintf(&b, "\n%s %s order %d", kind, e.ID, e.Order)
		if e.Rolled {
			b.WriteString(" rolled")
		}
		if len(e.Tombstones) > 0 {
			fmt.Fprintf(&b, " applied %s", strings.Join(e.Tombstones, " "))
		}
		for _, x := range p.Masks(&e) {
			fmt.Fprintf(&b, " masked by %s", x.ID)
		}
	}
	for _, w := range []string{"w", "v", "job"} {
		if g, ok := p.Flushed[w]; ok {
			fmt.Fprintf(&b, "\nflushed %s/%d", w, g)
		}
	}
	for _, r := range p.Retired {
		fmt.Fprintf(&b, "\nretired %s by %v", r.ID, r.By)
	}
	for _, q := range p.Quarantined {
		fmt.Fprintf(&b, "\nquarantined %s: %s", q.ID, q.Reason)
	}
	for _, d := range p.Dropped {
		fmt.Fprintf(&b, "\ndropped %s", d.ID)
	}
	for _, c := range p.Claims {
		fmt.Fprintf(&b, "\nclaim %s by %s until %dm", c.Job, c.Holder, c.UntilMs/60_000)
	}
	for _, x := range p.Tombstones {
		fmt.Fprintf(&b, "\ntombstone %s order %d", x.ID, x.Order)
	}
	return b.String()
}
