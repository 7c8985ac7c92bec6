package process

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// ticksPerSecond is the unit of CPU times in /proc, USER_HZ, which is 100 on every Linux that Go runs on.
const ticksPerSecond = 100

// Usage is what a process has cost so far.
type Usage struct {
	// CPU is user and system time of all threads, in steps of 10 ms.
	CPU time.Duration
	// RSS and PeakRSS are bytes of resident memory now and at most.
	RSS, PeakRSS int64
}

// Usage reads the cost of the running process.
func (p *Process) Usage() (Usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Pid()))
	if err != nil {
		return Usage{}, fmt.Errorf("read usage: %w", err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid()))
	if err != nil {
		return Usage{}, fmt.Errorf("read usage: %w", err)
	}
	var u Usage
	if u.CPU, err = parseCPU(string(stat)); err != nil {
		return Usage{}, err
	}
	if u.RSS, err = parseKiB(string(status), "VmRSS:"); err != nil {
		return Usage{}, err
	}
	u.PeakRSS, err = parseKiB(string(status), "VmHWM:")
	return u, err
}

// parseCPU reads fields 14 and 15 of /proc/PID/stat. The name in field 2 may hold spaces and brackets, so counting begins after its last bracket.
func parseCPU(stat string) (time.Duration, error) {
	f := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(f) < 13 {
		return 0, fmt.Errorf("read usage: %d fields in stat", len(f))
	}
	var ticks int64
	for _, s := range f[11:13] {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read usage: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * (time.Second / ticksPerSecond), nil
}

func parseKiB(status, name string) (int64, error) {
	for line := range strings.Lines(status) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			n, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read usage: %w", err)
			}
			return n << 10, nil
		}
	}
	return 0, fmt.Errorf("read usage: no %s", name)
}
