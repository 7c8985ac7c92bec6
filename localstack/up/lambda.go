package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/varvedb/varve/localstack/emulator"
	"github.com/varvedb/varve/localstack/lambdaruntime"
)

// lambda is varve-lambda over the bucket of the S3 emulator, by the URL of a function that streams and by an HTTP API.
type lambda struct {
	dir      string
	function *lambdaruntime.Function
	servers  []*http.Server
	served   chan error
}

// startLambda builds the program and prints where it answers. The first request of each starts a process.
func startLambda(ctx context.Context, out io.Writer, s *emulator.Server, bucket string) (_ *lambda, err error) {
	l := &lambda{served: make(chan error, 2)}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("start varve-lambda: %w", err), l.close())
		}
	}()
	if l.dir, err = os.MkdirTemp("", "varve-lambda-"); err != nil {
		return nil, err
	}
	program := filepath.Join(l.dir, "bootstrap")
	fmt.Fprintln(out, "building varve-lambda …")
	if err := lambdaruntime.Build(ctx, program); err != nil {
		return nil, err
	}
	scratch, err := s.Bucket(ctx, "varve-scratch")
	if err != nil {
		return nil, err
	}
	l.function = lambdaruntime.New(&lambdaruntime.Options{
		Program: program, Log: filepath.Join(l.dir, "log"),
		Env: append([]string{"VARVE_BUCKET=" + bucket, "VARVE_SCRATCH=" + scratch, "VARVE_RESPONSE_STREAM=true"}, s.Env...),
	})
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	stream, err := l.serve(ctx, &lambdaruntime.Front{Function: l.function, Stream: true, Log: log})
	if err != nil {
		return nil, err
	}
	gateway, err := l.serve(ctx, &lambdaruntime.Front{Function: l.function, Gateway: true, Log: log})
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "lambda, on the s3 bucket; its log is %s\n  VARVE_LAMBDA_URL=%s\n  VARVE_LAMBDA_HTTP_API=%s\n  curl \"$VARVE_LAMBDA_URL/api/v1/query?query=up\"\n", filepath.Join(l.dir, "log"), stream, gateway)
	return l, nil
}

// serve answers on a free port of the loopback.
func (l *lambda) serve(ctx context.Context, h http.Handler) (string, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	l.servers = append(l.servers, s)
	go func() { l.served <- s.Serve(ln) }()
	return "http://" + ln.Addr().String(), nil
}

// close ends the processes of the function and all that was started.
func (l *lambda) close() error {
	var err error
	for _, s := range l.servers {
		err = errors.Join(err, s.Close())
	}
	for range l.servers {
		if serr := <-l.served; !errors.Is(serr, http.ErrServerClosed) {
			err = errors.Join(err, serr)
		}
	}
	if l.function != nil {
		err = errors.Join(err, l.function.Close())
	}
	if l.dir != "" {
		err = errors.Join(err, os.RemoveAll(l.dir))
	}
	return err
}
