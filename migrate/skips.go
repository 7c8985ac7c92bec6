package migrate

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/varvedb/varve/model"
)

// Skip is something that could not be taken over, and why.
type Skip struct {
	// Kind is what was left out: "directory", "block", "file", "chunk", "index", "log", "line", "series" or "samples".
	Kind string `json:"kind"`
	// Where is the file or object, Offset the byte in it and Line the line, from 1; 0 if there is none.
	Where  string `json:"where"`
	Offset int64  `json:"offset,omitempty"`
	Line   int64  `json:"line,omitempty"`
	// Samples is how many samples were left out by it; 0 if that is not known.
	Samples int64 `json:"samples,omitempty"`
	// Count is how many such things it stands for; 0 is one.
	Count  int64  `json:"count,omitempty"`
	Reason string `json:"reason"`
	// Redundant: nothing is missing by it, so that it does not end a strict job.
	Redundant bool `json:"redundant,omitempty"`
}

// String is one line for people. Foreign bytes that a terminal might obey, and what is too long to read, are not in it.
func (s *Skip) String() string {
	return printable(s.text())
}

func (s *Skip) text() string {
	at := s.Where
	switch {
	case s.Line > 0:
		at = fmt.Sprintf("%s line %d", at, s.Line)
	case s.Offset > 0:
		at = fmt.Sprintf("%s at byte %d", at, s.Offset)
	}
	if s.Samples > 0 {
		return fmt.Sprintf("%s %s: %s (%d samples)", s.Kind, at, s.Reason, s.Samples)
	}
	return fmt.Sprintf("%s %s: %s", s.Kind, at, s.Reason)
}

// maxText bounds a line for people, in bytes.
const maxText = 500

// printable is the beginning of a text, with escapes for what cannot be shown.
func printable(text string) string {
	var b strings.Builder
	for i, r := range text {
		switch _, n := utf8.DecodeRuneInString(text[i:]); {
		case b.Len() >= maxText:
			b.WriteString(" …")
			return b.String()
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
	}
	return b.String()
}

// maxNamed things that were left out are named, maxKnown remembered, so that one which is met again, when a day is read twice, is counted once.
const (
	maxNamed = 100
	maxKnown = 100_000
)

// Skips collects what was left out. Safe for concurrent use.
type Skips struct {
	strict bool

	mu     sync.Mutex // guards what follows
	known  map[Skip]bool
	named  []Skip
	counts map[string]int64
}

// NewSkips returns an empty collection. strict: the first that is added is an error.
func NewSkips(strict bool) *Skips {
	return &Skips{strict: strict, known: map[Skip]bool{}, counts: map[string]int64{}}
}

// Add notes that something was left out. An error, which wraps model.ErrInvalid, ends a strict job.
func (k *Skips) Add(s Skip) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.known[s] {
		return nil
	}
	if len(k.known) < maxKnown {
		k.known[s] = true
	}
	k.counts[s.Kind] += max(1, s.Count)
	if len(k.named) < maxNamed {
		k.named = append(k.named, s)
	}
	if k.strict && !s.Redundant {
		return fmt.Errorf("%s: %w", s.String(), model.ErrInvalid)
	}
	return nil
}

// Counts are how many things of each kind were left out, and Named the first of them.
func (k *Skips) Counts() map[string]int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := make(map[string]int64, len(k.counts))
	for kind, n := range k.counts {
		out[kind] = n
	}
	return out
}

// Named are the first things that were left out, at most a hundred.
func (k *Skips) Named() []Skip {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]Skip(nil), k.named...)
}
