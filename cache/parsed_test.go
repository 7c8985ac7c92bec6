package cache

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestParsed(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	c, err := NewParsed[*int](nil)
	require.NoError(t, err)
	defer c.Close()
	_, ok := c.Get("a")
	require.False(t, ok)
	one, two := 1, 2
	c.Put("a", &one, 100)
	c.Settle()
	got, ok := c.Get("a")
	require.True(t, ok)
	require.Same(t, &one, got)
	c.Put("a", &two, 100)
	c.Settle()
	got, _ = c.Get("a")
	require.Same(t, &two, got)
	c.Delete("a")
	c.Settle()
	_, ok = c.Get("a")
	require.False(t, ok)
}

// TestBudget puts in far more than fits and counts what stayed.
func TestBudget(t *testing.T) {
	const budget, each = 1 << 20, 10 << 10
	c, err := NewParsed[int](&Options{MaxBytes: budget, TypicalBytes: each})
	require.NoError(t, err)
	defer c.Close()
	for i := range 1000 {
		c.Put(fmt.Sprint(i), i, each)
		c.Settle()
	}
	kept := 0
	for i := range 1000 {
		if v, ok := c.Get(fmt.Sprint(i)); ok {
			require.Equal(t, i, v)
			kept++
		}
	}
	require.LessOrEqual(t, kept*each, budget)
	require.Greater(t, kept*each, budget/2)
	c.Put("huge", 1, budget+1)
	c.Settle()
	_, ok := c.Get("huge")
	require.False(t, ok, "larger than the budget")
}
