package process

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"syscall"
)

// FreeAddr is a loopback address with a port that was free a moment ago. It lies outside the range from which the system takes the ports of who asks for
// any, so that neither a connection nor another listener gets it before, or between two lives of, whoever it is for.
func FreeAddr() (string, error) {
	first, last := portsBeside(portsOfSystem())
	for range 1000 {
		port := first + rand.IntN(last-first+1)
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		l, err := net.Listen("tcp", addr)
		if errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EACCES) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("find a free port: %w", err)
		}
		if err := l.Close(); err != nil {
			return "", fmt.Errorf("free port %s: %w", addr, err)
		}
		return addr, nil
	}
	return "", fmt.Errorf("find a free port: none of 1000 between %d and %d", first, last)
}

// portsOfSystem is the range from which the system takes ports, by default that of Linux.
func portsOfSystem() (first, last int) {
	raw, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err == nil {
		_, err = fmt.Sscan(string(raw), &first, &last)
	}
	if err != nil {
		return 32768, 60999
	}
	return first, last
}

// portsBeside is the larger of the ranges below and above that of the system, or that of the system where these are small.
func portsBeside(first, last int) (int, int) {
	const lowest, highest, enough = 10_000, 65_535, 2000
	switch below, above := first-lowest, highest-last; {
	case below >= max(enough, above):
		return lowest, first - 1
	case above >= enough:
		return last + 1, highest
	}
	return first, last
}
