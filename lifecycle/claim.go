package lifecycle

import (
	"fmt"
	"strconv"
	"strings"
)

// claimName names a job by its kind and the orders of its inputs, first to last: a planner tells from the name alone which blocks are
// spoken for.
func claimName(kind string, first, last uint64) string {
	return fmt.Sprintf("%s/%d-%d", kind, first, last)
}

// claimCovers reports whether a job of the name may have a block of the order among its inputs. A name in a form that is not known covers
// every block: it costs time, where the contrary would cost work done twice.
func claimCovers(name string, order uint64) bool {
	_, orders, ok := strings.Cut(name, "/")
	from, to, ok2 := strings.Cut(orders, "-")
	first, err := strconv.ParseUint(from, 10, 64)
	last, err2 := strconv.ParseUint(to, 10, 64)
	if !ok || !ok2 || err != nil || err2 != nil {
		return true
	}
	return first <= order && order <= last
}
