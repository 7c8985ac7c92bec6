//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/varvedb/varve/localstack/process"
)

// TestSyncBeforeAnswer looks from outside, by strace, at a server under concurrent senders: between the last read of each write request and
// its answer a sync of the log begins and ends. Requests share syncs, so one sync may serve several answers.
func TestSyncBeforeAnswer(t *testing.T) {
	strace, err := process.Debian(t.Context(), "strace")
	if err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	s := startServer(t, "traced", fileBucket(t))
	trace := filepath.Join(t.TempDir(), "trace")
	stop := startTrace(t, strace, s.process().Pid(), trace)
	const senders = 4
	var wg sync.WaitGroup
	answered := 0
	var mu sync.Mutex // guards answered
	for k := range senders {
		wg.Go(func() {
			w := newWriter(t, fmt.Sprintf("traced%d", k), 50)
			for range long(200, 50) {
				if err := w.write(t.Context(), s.url("/api/v1/write")); err != nil {
					t.Error(err)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			answered += len(w.acknowledged())
		})
	}
	wg.Wait()
	stop()
	seen, shared, unsynced := checkTrace(t, trace)
	t.Logf("%d answers of writes, %d syncs; %d answers without a sync", seen, shared, unsynced)
	if seen != answered || unsynced > 0 {
		t.Errorf("%d requests were acknowledged; strace saw %d answers, %d of them without a sync between the last read and the answer", answered, seen, unsynced)
	}
}

// startTrace attaches strace and returns when it is attached; stop ends it.
func startTrace(t *testing.T, strace string, pid int, file string) (stop func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), strace, "-f", "-ttt", "-y", "-s", "32", "-e", "trace=read,write,fdatasync,fsync", "-o", file, "-p", strconv.Itoa(pid))
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skipf("SKIPPED: strace: %v", err)
	}
	attached := make(chan bool, 1)
	go func() {
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			if strings.Contains(lines.Text(), "attached") {
				attached <- true
			}
		}
		close(attached)
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	select {
	case ok := <-attached:
		if !ok {
			t.Skipf("SKIPPED: strace may not attach to a process here: %v", cmd.Wait())
		}
	case <-ctx.Done():
		t.Fatal("strace does not attach")
	}
	return func() {
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // it ends with the signal's status
	}
}

// Lines of strace -f -y: a whole call, the begin of one that another thread's calls interrupted, and its end.
var (
	wholeCall  = regexp.MustCompile(`^(\d+) +[\d.]+ (\w+)\(\d+<([^>]*)>(.*)\) += +(-?\d+)`)
	beganCall  = regexp.MustCompile(`^(\d+) +[\d.]+ (\w+)\(\d+<([^>]*)>(.*) <unfinished \.\.\.>`)
	resumedEnd = regexp.MustCompile(`^(\d+) +[\d.]+ <\.\.\. (\w+) resumed>(.*)\) += +(-?\d+)`)
)

// traced is what is known while a trace is read.
type traced struct {
	line     int
	lastRead map[string]int // line on which the last read of a connection ended
	// syncs are the lines between which a sync of the log ran.
	syncs            [][2]int
	answers, missing int
}

type tracedCall struct {
	name, file, args string
	began            int
}

// checkTrace counts the answers of writes, the syncs of the log, and the answers that no sync precedes.
func checkTrace(t *testing.T, name string) (answers, syncs, missing int) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tr := &traced{lastRead: map[string]int{}}
	open := map[string]tracedCall{} // by thread
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		tr.line++
		if m := beganCall.FindStringSubmatch(lines.Text()); m != nil {
			c := tracedCall{m[2], m[3], m[4], tr.line}
			open[m[1]] = c
			tr.begin(c)
		} else if m := resumedEnd.FindStringSubmatch(lines.Text()); m != nil {
			tr.end(open[m[1]], m[4])
		} else if m := wholeCall.FindStringSubmatch(lines.Text()); m != nil {
			c := tracedCall{m[2], m[3], m[4], tr.line}
			tr.begin(c)
			tr.end(c, m[5])
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return tr.answers, len(tr.syncs), tr.missing
}

// begin looks at the start of an answer: by then a sync must have begun and ended since the last read.
func (tr *traced) begin(c tracedCall) {
	if c.name != "write" || !strings.Contains(c.args, "HTTP/1.1 204") {
		return
	}
	tr.answers++
	read, ok := tr.lastRead[c.file]
	for k := len(tr.syncs) - 1; ok && k >= 0; k-- {
		if tr.syncs[k][0] > read {
			return
		}
	}
	tr.missing++
}

// end notes reads that brought something, and syncs that succeeded.
func (tr *traced) end(c tracedCall, result string) {
	n, err := strconv.Atoi(result)
	switch {
	case err != nil || n < 0:
	case c.name == "read" && n > 0 && (strings.HasPrefix(c.file, "TCP:") || strings.HasPrefix(c.file, "socket:")):
		tr.lastRead[c.file] = tr.line
	case (c.name == "fdatasync" || c.name == "fsync") && strings.HasSuffix(c.file, ".wal"):
		tr.syncs = append(tr.syncs, [2]int{c.began, tr.line})
	}
}

// TestCheckTrace: an answer counts as synced only if a sync began after the last read and ended before the answer.
func TestCheckTrace(t *testing.T) {
	const (
		read   = `7 1.5 read(9<TCP:[1]>, "POST"..., 4096) = 100`
		answer = `7 1.9 write(9<TCP:[1]>, "HTTP/1.1 204 No Content\r\n", 40) = 40`
		sync   = `8 1.6 fdatasync(5</d/00000000.wal>) = 0`
		begun  = `8 1.6 fdatasync(5</d/00000000.wal> <unfinished ...>`
		ended  = `8 1.7 <... fdatasync resumed>) = 0`
	)
	for name, c := range map[string]struct {
		lines   []string
		missing int
	}{
		"synced":            {[]string{read, sync, answer}, 0},
		"interrupted":       {[]string{read, begun, ended, answer}, 0},
		"before the read":   {[]string{sync, read, answer}, 1},
		"begun before":      {[]string{begun, read, ended, answer}, 1},
		"not ended":         {[]string{read, begun, answer}, 1},
		"failed":            {[]string{read, strings.Replace(sync, "= 0", "= -1 EIO", 1), answer}, 1},
		"of something else": {[]string{read, strings.Replace(sync, ".wal", ".vb", 1), answer}, 1},
		"none":              {[]string{read, answer}, 1},
	} {
		file := filepath.Join(t.TempDir(), "trace")
		if err := os.WriteFile(file, []byte(strings.Join(c.lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if answers, _, missing := checkTrace(t, file); answers != 1 || missing != c.missing {
			t.Errorf("%s: %d answers, %d without a sync, want 1 and %d", name, answers, missing, c.missing)
		}
	}
}
