package lambdaruntime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/varvedb/varve/localstack/process"
)

// invocation is one event on its way.
type invocation struct {
	id       string
	payload  []byte
	deadline time.Time
	reply    chan reply    // takes one
	read     chan struct{} // closed when the answer has been read
}

// reply is what the program said of an invocation.
type reply struct {
	contentType string
	body        io.Reader
	err         *Error
}

// instance is one process and the Runtime API that it alone is served.
type instance struct {
	process *process.Process
	server  *http.Server
	served  chan error
	work    chan *invocation
	initErr chan *Error // takes one
	once    sync.Once

	mu      sync.Mutex // guards current
	current *invocation
	// ready is closed when the process asks for its first event, at asked; init is how long that took.
	ready chan struct{}
	asked time.Time
	init  time.Duration
}

// startInstance starts the program and waits until it asks for an event.
func startInstance(ctx context.Context, opts *Options) (*instance, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	in := &instance{served: make(chan error, 1), work: make(chan *invocation), initErr: make(chan *Error, 1), ready: make(chan struct{})}
	in.server = &http.Server{Handler: in.routes(), ReadHeaderTimeout: time.Minute}
	go func() { in.served <- in.server.Serve(l) }()
	popts := &process.Options{Env: environment(opts, l.Addr().String()), Bare: true, Dir: filepath.Dir(opts.Program), Log: opts.Log}
	began := time.Now()
	if in.process, err = launch(ctx, opts, popts); err != nil {
		return nil, errors.Join(err, in.close())
	}
	limit := time.NewTimer(10 * time.Second) // what AWS allows
	defer limit.Stop()
	var failed *Error
	select {
	case <-in.ready:
		in.init = in.asked.Sub(began)
		return in, nil
	case failed = <-in.initErr:
	case <-in.process.Done():
		failed = &Error{"Runtime.ExitError", "the program ended before it asked for an event"}
		select {
		case failed = <-in.initErr:
		default:
		}
	case <-limit.C:
		failed = &Error{"Runtime.InitTimeout", "the program did not ask for an event within 10 seconds"}
	}
	return nil, errors.Join(failed, in.close())
}

// environment is what AWS sets for a function of the runtime provided.al2023.
func environment(opts *Options, api string) []string {
	return append([]string{
		"AWS_LAMBDA_RUNTIME_API=" + api,
		"AWS_LAMBDA_FUNCTION_NAME=varve",
		"AWS_LAMBDA_FUNCTION_VERSION=$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=" + strconv.Itoa(opts.MemoryMB),
		"AWS_LAMBDA_INITIALIZATION_TYPE=on-demand",
		"AWS_EXECUTION_ENV=AWS_Lambda_provided.al2023",
		"AWS_REGION=us-east-1",
		"LAMBDA_TASK_ROOT=" + filepath.Dir(opts.Program),
		"_HANDLER=bootstrap",
		"PATH=/usr/local/bin:/usr/bin:/bin",
		"TZ=:UTC",
	}, opts.Env...)
}

// launch starts the process, on one CPU if it shall have no more: a process inherits them from the thread that starts it.
func launch(ctx context.Context, opts *Options, popts *process.Options) (*process.Process, error) {
	if !opts.OneCPU {
		return process.Start(ctx, opts.Program, popts)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return nil, fmt.Errorf("read the CPUs of this thread: %w", err)
	}
	for cpu := range 1024 {
		if all.IsSet(cpu) {
			one.Set(cpu)
			break
		}
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return nil, fmt.Errorf("keep to one CPU: %w", err)
	}
	p, err := process.Start(ctx, opts.Program, popts)
	return p, errors.Join(err, unix.SchedSetaffinity(0, &all))
}

// errNotTaken says that the process ended before it asked for the event, as one does that answered the one before with an error of its own.
var errNotTaken = errors.New("the event was not taken")

// invoke hands the invocation over and waits for the answer. The instance is killed if that takes too long.
func (in *instance) invoke(inv *invocation) (*Result, error) {
	limit := time.AfterFunc(time.Until(inv.deadline), func() { _ = in.process.Kill() }) // an error shows in the next start
	var r reply
	select {
	case in.work <- inv:
		select {
		case r = <-inv.reply:
		case <-in.process.Done():
			r.err = ended(inv)
		}
	case <-in.process.Done():
		limit.Stop()
		if time.Now().Before(inv.deadline) {
			return nil, errNotTaken
		}
		r.err = ended(inv)
	}
	if r.err != nil {
		limit.Stop()
		close(inv.read)
		return nil, r.err
	}
	return &Result{ContentType: r.contentType, Body: &answer{r.body, func() {
		close(inv.read)
		limit.Stop()
	}}}, nil
}

func ended(inv *invocation) *Error {
	if !time.Now().Before(inv.deadline) {
		return &Error{"Sandbox.Timedout", inv.id + ": the time of the invocation was over"}
	}
	return &Error{"Runtime.ExitError", inv.id + ": the program ended"}
}

// answer is the body of a result. What is not read of it when it is closed is taken all the same: a function does not learn of clients that go.
type answer struct {
	io.Reader
	then func()
}

func (a *answer) Close() error {
	_, _ = io.Copy(io.Discard, a.Reader) // how it ends is of no interest any more
	a.then()
	return nil
}

// close kills the process and ends the Runtime API.
func (in *instance) close() error {
	var err error
	in.once.Do(func() {
		if in.process != nil {
			err = in.process.Kill()
		}
		err = errors.Join(err, in.server.Close())
		if serr := <-in.served; !errors.Is(serr, http.ErrServerClosed) {
			err = errors.Join(err, serr)
		}
	})
	return err
}
