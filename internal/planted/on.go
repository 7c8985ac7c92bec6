//go:build planted

package planted

import "sync/atomic"

var current atomic.Int64

// On reports whether the bug is planted.
func On(b Bug) bool { return Bug(current.Load()) == b }

// Plant switches one bug on and all others off. None switches all off.
func Plant(b Bug) { current.Store(int64(b)) }
