//go:build !unix

package blocks_test

func cpuSeconds() float64 { return 0 }
