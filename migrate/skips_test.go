package migrate

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSkipText: what foreign bytes say in a reason reaches no terminal, and no line goes on for ever.
func TestSkipText(t *testing.T) {
	s := Skip{Kind: "line", Where: "a\nb", Line: 3, Reason: "found \x1b[2J\u202e \xff €", Samples: 2}
	require.Equal(t, `line a\nb line 3: found \x1b[2J\u202e \xff € (2 samples)`, s.String())
	s.Reason = strings.Repeat("é", 10_000)
	require.Less(t, len(s.String()), maxText+20)
}
