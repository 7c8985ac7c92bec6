package query

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/model"
)

func TestDaysText(t *testing.T) {
	day := func(days ...model.Day) []model.Day {
		for i := range days {
			days[i] += day0
		}
		return days
	}
	require.Equal(t, "2024-10-04", daysText(day(0)))
	require.Equal(t, "2024-10-04", daysText(day(0, 0)), "two blocks of one day")
	require.Equal(t, "2024-10-04 to 2024-10-06, 2024-10-08", daysText(day(0, 1, 1, 2, 4)))
	require.Equal(t, "2024-10-04, 2024-10-06, 2024-10-08, 2024-10-10, 2024-10-12, 2024-10-14, 2024-10-16, 2024-10-18 and more up to 2024-10-22",
		daysText(day(0, 2, 4, 6, 8, 10, 12, 14, 16, 18)))
}
