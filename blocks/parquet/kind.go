package parquet

import (
	"github.com/varvedb/varve/internal/decimal"
	"github.com/varvedb/varve/model"
)

// Kind says what the rows of a file are.
type Kind uint8

const (
	// Samples have one row a sample, its one number the value.
	Samples Kind = iota
	// Rollups have one row a window, its numbers the aggregates.
	Rollups
)

// Scales that say more than a power of ten. scaleNone and scaleLast are in rollups only.
const (
	// scaleDouble: the number is in the column value.
	scaleDouble = -1
	// scaleNone: there is no number, since the window ends in a native histogram.
	scaleNone = -2
	// scaleLast: the number follows from Last: Max is the same, Sum is Count times Last, Increase what Last grew by since the row before.
	scaleLast = -3
)

// numbers is how many numbers a row has.
func (k Kind) numbers() int {
	if k == Rollups {
		return int(model.Aggregates)
	}
	return 1
}

// Windows is how many windows the day is cut into: rollups have so few rows that theirs is the whole day.
func (k Kind) Windows() int {
	if k == Rollups {
		return 1
	}
	return Windows
}

// WindowMs is the length of a window.
func (k Kind) WindowMs() int64 { return int64(model.MsPerDay / k.Windows()) }

// firstScale is the least scale, with which the dictionary of a column scale begins; scales is the size of the dictionary.
func (k Kind) firstScale() int {
	if k == Rollups {
		return scaleLast
	}
	return scaleDouble
}

func (k Kind) scales() int { return decimal.MaxScale + 1 - k.firstScale() }

// The stored columns are those that Varve reads. They lie side by side: ts, those of the numbers, and the extras kind, start and histogram.

// lone reports whether number i is an integer in a single column.
func (k Kind) lone(i int) bool { return k == Rollups && i == int(model.Count) }

// order is that of the aggregates in the file. Next to ts lie those that are asked for most, and that others follow from: so most readers find
// all they need in one stretch.
func order() [model.Aggregates]model.Aggregate {
	return [...]model.Aggregate{model.Last, model.Increase, model.Max, model.Min, model.Sum, model.Count}
}

// inOrder returns the numbers in the order of their columns.
func (k Kind) inOrder() []int {
	if k == Samples {
		return []int{0}
	}
	var out []int
	for _, a := range order() {
		out = append(out, int(a))
	}
	return out
}

// at is the first stored column of number i: scaled if it is lone, else scale, with scaled and value behind it.
func (k Kind) at(i int) int {
	if k == Samples {
		return 1
	}
	return 1 + 3*[model.Aggregates]int{model.Last: 0, model.Increase: 1, model.Max: 2, model.Min: 3, model.Sum: 4, model.Count: 5}[i]
}

// core is how many stored columns there are before the extras, stored how many in all.
func (k Kind) core() int {
	if k == Samples {
		return 1 + 3
	}
	return maxStored - extraColumns
}

func (k Kind) stored() int { return k.core() + extraColumns }

// derives reports whether number i may follow from Last.
func (k Kind) derives(i int) bool {
	return k == Rollups && (i == int(model.Sum) || i == int(model.Max) || i == int(model.Increase))
}

// flagBits is how many bits the flags of the numbers of a stripe take: see stripeFlags.
func (k Kind) flagBits() int {
	if k == Rollups {
		return 2 * k.numbers()
	}
	return 1
}

// stripeFlags say of the numbers of a stripe whether it has some in the column value (bit i), and, in rollups, whether some follow from Last (bit
// i behind those).
type stripeFlags uint32

func (k Kind) doublesFlag(i int) stripeFlags { return 1 << i }
func (k Kind) derivedFlag(i int) stripeFlags { return 1 << (k.numbers() + i) }
