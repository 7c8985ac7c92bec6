package verify

import (
	"math"
	"slices"
	"strconv"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"github.com/varvedb/varve/model"
)

// differ finds the differences of series of one day, counts them all and names the first. For one goroutine.
type differ struct {
	day       model.Day
	tolerance float64
	maxNamed  int
	counts    *Counts
	named     []Difference
	// open is the difference that the next sample may belong to as well, an index of named; -1 if there is none or it is not named.
	open     int
	openKind Kind
}

// columns compares the samples of a series that both sides have.
func (d *differ) columns(ls labels.Labels, a, b *model.Columns) {
	same := d.samePrefix(a, b)
	if same == a.Len() && same == b.Len() {
		return
	}
	d.close()
	wrong, extra := d.counts.Wrong(), d.counts.ExtraSamples
	i, j := same, same
	for i < a.Len() || j < b.Len() {
		switch {
		case j == b.Len() || i < a.Len() && a.T[i] < b.T[j]:
			d.counts.MissingSamples++
			d.note(MissingSamples, ls, a.T[i], func() (string, string) { return text(a, i), "" })
			i++
		case i == a.Len() || b.T[j] < a.T[i]:
			d.counts.ExtraSamples++
			d.note(ExtraSamples, ls, b.T[j], func() (string, string) { return "", text(b, j) })
			j++
		default:
			d.sample(ls, a, b, i, j)
			i, j = i+1, j+1
		}
	}
	d.close()
	if d.counts.Wrong() > wrong || d.counts.ExtraSamples > extra {
		d.counts.DifferentSeries++
	}
}

// samePrefix is how many samples at the beginning are the same to the bit.
func (d *differ) samePrefix(a, b *model.Columns) int {
	n := min(a.Len(), b.Len())
	if a.H != nil || b.H != nil {
		return d.sameRichPrefix(a, b, n)
	}
	at, bt, av, bv := a.T[:n], b.T[:n], a.V[:n], b.V[:n]
	for i := range n {
		if at[i] != bt[i] || math.Float64bits(av[i]) != math.Float64bits(bv[i]) {
			return i
		}
	}
	return n
}

// sameRichPrefix is samePrefix where there are histograms.
func (d *differ) sameRichPrefix(a, b *model.Columns, n int) int {
	for i := range n {
		x, y := histogramAt(a, i), histogramAt(b, i)
		same := (x == nil) == (y == nil) && string(x) == string(y) && (x != nil || math.Float64bits(a.V[i]) == math.Float64bits(b.V[i]))
		if a.T[i] != b.T[i] || !same {
			return i
		}
	}
	return n
}

// sample compares two samples of one time.
func (d *differ) sample(ls labels.Labels, a, b *model.Columns, i, j int) {
	ha, hb := histogramAt(a, i), histogramAt(b, j)
	if ha == nil && hb == nil {
		if math.Float64bits(a.V[i]) == math.Float64bits(b.V[j]) {
			d.close()
			return
		}
		d.judge(Values, ls, a.T[i], sameFloat(a.V[i], b.V[j], d.tolerance), func() (string, string) { return texts(a.V[i], b.V[j]) })
		return
	}
	if ha != nil && hb != nil && string(ha) == string(hb) {
		d.close()
		return
	}
	x, y := decode(a, i), decode(b, j)
	kind, detail := compareRich(x, y, d.tolerance)
	d.judge(kind, ls, a.T[i], kind == "", func() (string, string) { return detail() })
}

func histogramAt(c *model.Columns, i int) []byte {
	if c.H == nil {
		return nil
	}
	return c.H[i]
}

// judge counts two samples that are not the same to the bit: close enough, or a difference.
func (d *differ) judge(kind Kind, ls labels.Labels, t int64, same bool, texts func() (string, string)) {
	switch {
	case same:
		d.counts.WithinTolerance++
		d.close()
		return
	case kind == Values:
		d.counts.DifferentValues++
	case kind == Histograms:
		d.counts.DifferentHistograms++
	default:
		d.counts.DifferentTypes++
	}
	d.note(kind, ls, t, texts)
}

// note names a difference of a sample, or adds the sample to the one before, if that is of the same kind and nothing lies between.
func (d *differ) note(kind Kind, ls labels.Labels, t int64, texts func() (string, string)) {
	if kind == d.openKind {
		if d.open >= 0 {
			d.named[d.open].LastMs = t
			d.named[d.open].Samples++
		}
		return
	}
	d.openKind, d.open = kind, -1
	if len(d.named) >= d.maxNamed {
		return
	}
	source, target := texts()
	d.open = len(d.named)
	d.named = append(d.named, Difference{
		Kind: kind, Day: d.day.Dashed(), Series: ls.String(), FirstMs: t, LastMs: t, Samples: 1, Source: source, Target: target, day: d.day,
	})
}

func (d *differ) close() { d.open, d.openKind = -1, "" }

// lacking names a series that one side has not; it returns its index, or -1.
func (d *differ) lacking(kind Kind, ls labels.Labels, c *model.Columns) int {
	d.close()
	if len(d.named) >= d.maxNamed {
		return -1
	}
	n := Difference{Kind: kind, Day: d.day.Dashed(), Series: ls.String(), FirstMs: c.T[0], LastMs: c.T[c.Len()-1], Samples: int64(c.Len()), day: d.day}
	if kind == MissingSeries {
		n.Source = text(c, 0)
	} else {
		n.Target = text(c, 0)
	}
	d.named = append(d.named, n)
	return len(d.named) - 1
}

// sameFloat reports whether floats differ by no more than the tolerance, relative to the larger one. What is no number must be the same kind of none.
func sameFloat(a, b, tolerance float64) bool {
	switch {
	case math.Float64bits(a) == math.Float64bits(b):
		return true
	case tolerance == 0:
		return false
	case math.IsNaN(a) || math.IsNaN(b):
		return math.IsNaN(a) && math.IsNaN(b) && value.IsStaleNaN(a) == value.IsStaleNaN(b)
	case math.IsInf(a, 0) || math.IsInf(b, 0):
		return a == b
	}
	// Halves, so that the difference of two huge numbers is none of infinity.
	return math.Abs(a/2-b/2) <= tolerance*max(math.Abs(a), math.Abs(b))/2
}

// text is the i-th sample for people.
func text(c *model.Columns, i int) string {
	if histogramAt(c, i) != nil {
		return decode(c, i).String()
	}
	return floatText(c.V[i])
}

func floatText(v float64) string {
	if value.IsStaleNaN(v) {
		return "stale marker"
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// texts are two floats for people, with bits if they look the same without.
func texts(a, b float64) (x, y string) {
	x, y = floatText(a), floatText(b)
	if x == y || math.IsNaN(a) && math.IsNaN(b) {
		x, y = x+bits(a), y+bits(b)
	}
	return x, y
}

func bits(v float64) string { return " (0x" + strconv.FormatUint(math.Float64bits(v), 16) + ")" }

// keepFirst adds differences to a list that is in order of days, and keeps the first n.
func keepFirst(list, more []Difference, n int) []Difference {
	list = append(list, more...)
	slices.SortStableFunc(list, func(a, b Difference) int { return int(a.day) - int(b.day) })
	return list[:min(n, len(list))]
}
