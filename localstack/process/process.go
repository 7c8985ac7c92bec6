package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Options say how a process runs. All fields may be empty.
type Options struct {
	Args []string
	// Env is added to the environment of this process, or with Bare is all there is.
	Env  []string
	Bare bool
	// Dir is where it runs.
	Dir string
	// Log is the file that its output is appended to; empty discards it.
	Log string
}

// Process is one running server.
type Process struct {
	path string
	opts Options
	cmd  *exec.Cmd
	done chan struct{}
	err  error // of Wait; read after done
}

// Start starts the program. It is killed when ctx ends.
func Start(ctx context.Context, path string, opts *Options) (*Process, error) {
	p := &Process{path: path, done: make(chan struct{})}
	if opts != nil {
		p.opts = *opts
	}
	p.cmd = exec.CommandContext(ctx, path, p.opts.Args...)
	p.cmd.Dir = p.opts.Dir
	if p.cmd.Env = p.opts.Env; !p.opts.Bare {
		p.cmd.Env = append(os.Environ(), p.opts.Env...)
	}
	log, err := p.openLog()
	if err != nil {
		return nil, err
	}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	err = p.cmd.Start()
	if log != nil {
		err = errors.Join(err, log.Close()) // the child has its own descriptor
	}
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

func (p *Process) openLog() (*os.File, error) {
	if p.opts.Log == "" {
		return nil, nil
	}
	f, err := os.OpenFile(p.opts.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open log of %s: %w", p.path, err)
	}
	return f, nil
}

// Pid is the process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Running reports whether the process has not ended.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// WaitReady asks url until it answers 200, the process ends, or ctx does.
func (p *Process) WaitReady(ctx context.Context, url string) error {
	client := &http.Client{Timeout: 2 * time.Second}
	var last error
	for {
		err := get(ctx, client, url)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil { // what the end of ctx broke off tells nothing
			last = err
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended before it was ready (%v), its log ends with:\n%s", p.path, p.err, p.logTail())
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w, last answer: %v, its log ends with:\n%s", url, ctx.Err(), last, p.logTail())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func get(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 300))
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", resp.Status, body)
	}
	return nil
}

// Kill ends the process as kill -9 does and waits for its end.
func (p *Process) Kill() error {
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.done
	return nil
}

// Stop asks the process to end (SIGTERM) and waits at most timeout. An exit status other than 0 is an error.
func (p *Process) Stop(timeout time.Duration) error {
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.done:
	case <-time.After(timeout):
		return errors.Join(fmt.Errorf("stop %s: still running after %s, its log ends with:\n%s", p.path, timeout, p.logTail()), p.Kill())
	}
	if p.err != nil {
		return fmt.Errorf("stop %s: %w, its log ends with:\n%s", p.path, p.err, p.logTail())
	}
	return nil
}

// Pause stops the process where it is (SIGSTOP); Resume lets it go on.
func (p *Process) Pause() error { return p.signal(syscall.SIGSTOP) }

// Resume continues a paused process.
func (p *Process) Resume() error { return p.signal(syscall.SIGCONT) }

// Signal sends another signal.
func (p *Process) Signal(s syscall.Signal) error { return p.signal(s) }

func (p *Process) signal(s syscall.Signal) error {
	err := p.cmd.Process.Signal(s)
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send %s to %s: %w", s, p.path, err)
	}
	return nil
}

// logTail is the end of the log, for errors.
func (p *Process) logTail() string {
	if p.opts.Log == "" {
		return "(no log)"
	}
	data, err := os.ReadFile(p.opts.Log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}
