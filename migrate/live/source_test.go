package live

import (
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
)

// migrateAll wants every series.
func migrateAll(labels.Labels) bool { return true }

func TestPace(t *testing.T) {
	p := pace{size: firstSliceMs, ceiling: maxSliceMs}
	for range 5 {
		p.succeeded(p.take())
	}
	require.Equal(t, int64(maxSliceMs), p.take())
	p.refused(maxSliceMs)
	require.Equal(t, int64(maxSliceMs/2), p.take())
	for range raiseAfter - 1 {
		p.succeeded(p.take())
		require.Equal(t, int64(maxSliceMs/2), p.take())
	}
	p.succeeded(1)
	require.Equal(t, int64(maxSliceMs/2), p.take(), "an answer for less says nothing")
	p.succeeded(p.take())
	require.Equal(t, int64(maxSliceMs), p.take(), "after a while more is tried again")
	for range 100 {
		p.refused(p.take())
	}
	require.Equal(t, int64(minSliceMs), p.take())
}

func TestBackoff(t *testing.T) {
	require.Equal(t, firstWait/2, backoff(0, 0, 0))
	require.Equal(t, firstWait, backoff(0, 0, 1))
	require.Equal(t, maxWait/2, backoff(99, 0, 0))
	require.Equal(t, time.Minute, backoff(0, time.Minute, 0.5))
	require.Equal(t, maxAfter, backoff(0, time.Hour, 0.5))
	require.Equal(t, 7*time.Second, retryAfter("7"))
	for _, s := range []string{"", "-1", "x", "Fri, 31 Dec 1999 23:59:59 GMT", "99999999999999999999"} {
		require.Zero(t, retryAfter(s))
	}
}
