// Package process runs servers as real processes for the end-to-end checks and
// the benchmarks: start, wait until ready, pause, kill without warning, stop politely, and read
// what it cost from /proc.
//
// A Process belongs to the goroutine that started it, but for Kill, Usage and
// Done, which anybody may call. Whoever starts one stops it; a process
// does not outlive its context. Linux only.
package process
