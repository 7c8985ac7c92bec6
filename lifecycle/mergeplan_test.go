package lifecycle

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

var rewrite = flag.Bool("rewrite", false, "write the output of scripts anew")

const testDay = model.Day(19800)

// TestMergePlans runs the scripts of testdata/plan: commands, then, below a line of ----, what they print, up to an empty line. -rewrite writes
// that anew.
//
//	catalog [BYTES]                 begins a partition, with what follows up to ----, a line each:
//	  ID ORDER MIB [FROM-TO] [parquet] [quarantined] [applied=TOMBSTONE]     FROM and TO in minutes of the day
//	  N times ORDER MIB [FROM-TO]                                            N blocks from that order on
//	  claim JOB MINUTE                                                       until that minute
//	  tombstone ID ORDER [FROM-TO]
//	  deleted
//	plan [blocks=N] [inputs=N] [mib=N] [at=MINUTE]   prints the merge, or why there is none
//	all …                                            plans and carries out merges until there is none
func TestMergePlans(t *testing.T) {
	files, err := filepath.Glob("testdata/plan/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			got := runScript(t, want)
			if *rewrite {
				require.NoError(t, os.WriteFile(file, got, 0o644))
				return
			}
			require.Equal(t, string(want), string(got))
		})
	}
}

func runScript(t *testing.T, text []byte) []byte {
	var p *catalog.Partition
	return runScriptWith(text, func(command []string) string { return run(t, &p, command) })
}

// runScriptWith runs each command of the script and puts what it prints in the place of what the script expects.
func runScriptWith(text []byte, run func(command []string) string) []byte {
	var out bytes.Buffer
	var command []string
	output := false
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		line := lines.Text()
		switch {
		case line == "":
			output = false
		case output:
			continue
		case strings.HasPrefix(line, "#"):
		case line == "----":
			output = true
			out.WriteString("----\n" + run(command))
			command = nil
			continue
		default:
			command = append(command, line)
		}
		out.WriteString(line + "\n")
	}
	return out.Bytes()
}

func run(t *testing.T, p **catalog.Partition, lines []string) string {
	f := strings.Fields(lines[0])
	switch f[0] {
	case "catalog":
		*p = &catalog.Partition{Tenant: "t", Day: testDay}
		if len(f) > 1 {
			(*p).Bytes = number(t, f[1])
		}
		for _, line := range lines[1:] {
			describe(t, *p, strings.Fields(line))
		}
		return fmt.Sprintf("%d blocks\n", len((*p).Blocks))
	case "plan":
		m, why := PlanMerge(*p, settings(t, f[1:]), at(t, f[1:]))
		return show(m, why)
	case "all":
		var b strings.Builder
		for {
			m, why := PlanMerge(*p, settings(t, f[1:]), at(t, f[1:]))
			b.WriteString(show(m, why))
			if m == nil {
				return b.String()
			}
			*p = carryOut(t, *p, m)
		}
	}
	t.Fatalf("unknown command %q", lines[0])
	return ""
}

func number(t *testing.T, s string) int {
	n, err := strconv.Atoi(s)
	require.NoError(t, err)
	return n
}

func option(t *testing.T, args []string, name string) int {
	for _, a := range args {
		if v, ok := strings.CutPrefix(a, name+"="); ok {
			return number(t, v)
		}
	}
	return 0
}

func settings(t *testing.T, args []string) *MergeSettings {
	return &MergeSettings{
		MaxBlocks: option(t, args, "blocks"), MaxInputs: option(t, args, "inputs"), MaxOutputBytes: int64(option(t, args, "mib")) << 20,
	}
}

func at(t *testing.T, args []string) int64 { return int64(option(t, args, "at")) * 60_000 }

func minutes(t *testing.T, s string) (r model.TimeRange) {
	from, to, ok := strings.Cut(s, "-")
	require.True(t, ok, s)
	start := testDay.Range().MinMs
	return model.TimeRange{MinMs: start + int64(number(t, from))*60_000, MaxMs: start + int64(number(t, to))*60_000}
}

func describe(t *testing.T, p *catalog.Partition, f []string) {
	switch {
	case f[0] == "claim":
		p.Claims = append(p.Claims, catalog.Claim{Job: f[1], Holder: "h", UntilMs: int64(number(t, f[2])) * 60_000})
	case f[0] == "tombstone":
		x := catalog.Tombstone{ID: f[1], Order: uint64(number(t, f[2])), Range: testDay.Range()}
		if len(f) > 3 {
			x.Range = minutes(t, f[3])
		}
		p.Tombstones = append(p.Tombstones, x)
	case f[0] == "deleted":
		p.GravestoneMs = 1
	case f[1] == "times":
		for i := range number(t, f[0]) {
			order := number(t, f[2]) + i
			describe(t, p, append([]string{"b" + strconv.Itoa(order), strconv.Itoa(order)}, f[3:]...))
		}
	default:
		mib, err := strconv.ParseFloat(f[2], 64)
		require.NoError(t, err)
		m := &blocks.Meta{ID: f[0], Format: blocks.Native, Size: int64(mib * (1 << 20)), MinT: testDay.Range().MinMs, MaxT: testDay.Range().MaxMs}
		for _, a := range f[3:] {
			switch {
			case a == "parquet":
				m.Format = blocks.Parquet
			case a == "quarantined":
				p.Quarantined = append(p.Quarantined, catalog.Quarantined{ID: m.ID})
			case strings.HasPrefix(a, "applied="):
				m.Tombstones = append(m.Tombstones, strings.TrimPrefix(a, "applied="))
			default:
				r := minutes(t, a)
				m.MinT, m.MaxT = r.MinMs, r.MaxMs
			}
		}
		p.Blocks = append(p.Blocks, catalog.Entry{Meta: m, Order: uint64(number(t, f[1]))})
	}
}

func show(m *Merge, why string) string {
	if m == nil {
		return "none: " + why + "\n"
	}
	ids := make([]string, len(m.Inputs))
	for i, e := range m.Inputs {
		ids[i] = e.ID
	}
	return fmt.Sprintf("%s, %d blocks, %.2f MiB: %s\n", m.Job(), len(ids), float64(m.Bytes)/(1<<20), strings.Join(ids, " "))
}

// carryOut does what the catalog would, after checking what it checks.
func carryOut(t testing.TB, p *catalog.Partition, m *Merge) *catalog.Partition {
	legal(t, p, m)
	out := &blocks.Meta{ID: m.Job(), Format: blocks.Native, Size: m.Bytes, MinT: 1 << 62, MaxT: -1 << 62}
	next := *p
	next.Blocks = nil
	for _, e := range p.Blocks {
		if !slices.ContainsFunc(m.Inputs, func(in catalog.Entry) bool { return in.ID == e.ID }) {
			next.Blocks = append(next.Blocks, e)
			continue
		}
		out.MinT, out.MaxT = min(out.MinT, e.MinT), max(out.MaxT, e.MaxT)
	}
	next.Blocks = append(next.Blocks, catalog.Entry{Meta: out, Order: m.Inputs[len(m.Inputs)-1].Order})
	slices.SortFunc(next.Blocks, func(a, b catalog.Entry) int { return int(a.Order) - int(b.Order) })
	return &next
}

// legal checks a plan against the rule of orders, said in another way than the planner says it: whoever lost to a block before loses
// to it afterwards.
func legal(t testing.TB, p *catalog.Partition, m *Merge) {
	in := map[string]bool{}
	top := uint64(0)
	for i, e := range m.Inputs {
		in[e.ID] = true
		top = max(top, e.Order)
		require.True(t, i == 0 || m.Inputs[i-1].Order <= e.Order)
	}
	for _, a := range m.Inputs {
		for _, b := range p.Blocks {
			if !in[b.ID] && a.Order < b.Order && a.Range().Overlaps(b.Range()) {
				require.Less(t, top, b.Order, "%s would overtake %s", a.ID, b.ID)
			}
		}
	}
}

// TestMergePlansOnRandomDays flushes random blocks into a partition, merges whenever that is due, and looks at what it comes to: every plan is legal, blocks
// stay few, bytes are written few times.
func TestMergePlansOnRandomDays(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 12 {
		p := &catalog.Partition{Tenant: "t", Day: testDay}
		s := &MergeSettings{MaxBlocks: 2 + rng.IntN(60)}
		writers, mean := 1+rng.IntN(4), float64(int64(1)<<(10+rng.IntN(12)))
		flushes := 100 + rng.IntN(900)
		var flushed, written int64
		merges, most := 0, 0
		for i := range flushes {
			for w := range writers {
				from := int64(i) * model.MsPerDay / int64(flushes)
				m := &blocks.Meta{ID: fmt.Sprintf("%d-%d", i, w), Format: blocks.Native, Size: int64(mean * (0.5 + rng.Float64()) * float64(1+w*w))}
				m.MinT, m.MaxT = testDay.Range().MinMs+from, testDay.Range().MinMs+from+60_000
				if rng.IntN(20) == 0 { // late samples
					m.MinT = testDay.Range().MinMs
				}
				flushed += m.Size
				p.Generation++
				p.Blocks = append(p.Blocks, catalog.Entry{Meta: m, Order: p.Generation})
			}
			for {
				m, _ := PlanMerge(p, s, 0)
				if m == nil {
					break
				}
				merges++
				written += m.Bytes
				p = carryOut(t, p, m)
			}
			most = max(most, len(p.Blocks))
		}
		t.Logf("%d flushes of %d writers, %.0f KiB: at most %d of %d blocks, %d merges, each byte written %.2f times", flushes, writers, mean/1024, most, s.MaxBlocks, merges, float64(written)/float64(flushed))
		full := int(flushed/(96<<20)) * 4
		require.LessOrEqual(t, most, max(s.MaxBlocks, 12)+full, "blocks")
		require.LessOrEqual(t, float64(written)/float64(flushed), 10.0, "write amplification")
	}
}
