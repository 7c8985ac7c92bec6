// Package rollup is the room of coarser samples: it makes the windows that rollup blocks hold out of raw samples ([Append]), and puts
// together what a day's rollups have and what came later ([Combiner]). Pure functions of columns, without I/O, clock or goroutines; what is
// shared is the caller's business.
//
// # What a window says
//
// Windows are left-open, (end−resolution, end], and those of a day do not cross its midnight (see model.WindowEnd). Stale markers are left out of everything. Of the
// samples of one window
//
//	count     is their number, floats and native histograms
//	sum       is that of the floats as sum_over_time adds them up: compensated, in the order of time
//	min, max  are those of min_over_time and max_over_time, which give a NaN only where there is nothing else
//	last      is the value of the last one
//	increase  is what the counter grew by from the sample before the first one, if the day has one, to the last one: increase() before it extrapolates,
//	          a sample less than the one before it being a reset to zero
//
// One window has the same bits as PromQL's function over the same samples. Of several windows together count, min, max and last are exact, sum and increase as exact as
// floating point addition of the parts is: exact where the values are integers, else within rounding.
//
// The last sample decides of what kind a window is. If it is a native histogram, that is what the window keeps, with count; the other aggregates are 0. If it is a float, histograms
// before it are counted and no more. Start timestamps are not looked at but kept where a histogram is.
package rollup
