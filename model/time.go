package model

import "time"

// MsPerDay is the length of a UTC day in milliseconds.
const MsPerDay = 24 * 60 * 60 * 1000

// The samples that Varve keeps lie in the years 0001 to 9999, so that every day has
// a name of eight digits.
var (
	MinTimeMs = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	MaxTimeMs = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli() - 1
)

// TimeRange is the closed interval [MinMs, MaxMs]. It is empty when MinMs > MaxMs.
type TimeRange struct {
	MinMs, MaxMs int64
}

// Contains reports whether t lies in the range.
func (r TimeRange) Contains(t int64) bool { return r.MinMs <= t && t <= r.MaxMs }

// Overlaps reports whether the ranges have a timestamp in common.
func (r TimeRange) Overlaps(o TimeRange) bool { return r.MinMs <= o.MaxMs && o.MinMs <= r.MaxMs }

// Empty reports whether no timestamp lies in the range.
func (r TimeRange) Empty() bool { return r.MinMs > r.MaxMs }

// Length is how many milliseconds lie in the range; 0 if it is empty.
func (r TimeRange) Length() int64 { return max(0, r.MaxMs-r.MinMs+1) }

// Intersect returns what both ranges contain, possibly an empty range.
func (r TimeRange) Intersect(o TimeRange) TimeRange {
	return TimeRange{max(r.MinMs, o.MinMs), min(r.MaxMs, o.MaxMs)}
}

// Day is a UTC day, counted from 1970-01-01, which is 0. With a tenant it names a partition.
type Day int32

// DayOf returns the day that holds the timestamp.
func DayOf(tMs int64) Day {
	d := tMs / MsPerDay
	if tMs%MsPerDay < 0 {
		d--
	}
	return Day(d)
}

// Range returns the timestamps of the day.
func (d Day) Range() TimeRange {
	return TimeRange{int64(d) * MsPerDay, (int64(d)+1)*MsPerDay - 1}
}

// String returns the day as YYYYMMDD, its name in catalog keys.
func (d Day) String() string { return d.time().Format("20060102") }

// Dashed returns the day as YYYY-MM-DD, its name in block keys and local paths.
func (d Day) Dashed() string { return d.time().Format("2006-01-02") }

func (d Day) time() time.Time { return time.UnixMilli(int64(d) * MsPerDay).UTC() }
