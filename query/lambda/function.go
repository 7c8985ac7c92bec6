package lambda

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/klauspost/compress/gzhttp"

	"github.com/varvedb/varve/api"
	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/cache"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/query"
	"github.com/varvedb/varve/tenant"
)

// Function answers events. Safe for concurrent use.
type Function struct {
	cfg     Config
	log     *slog.Logger
	handler http.Handler
	scratch *blob.Bucket // nil for none
	closers []func() error
}

// Open wires a Function. It makes no request, so that a process is ready at once. Close it after use.
func Open(ctx context.Context, cfg *Config, c Components) (_ *Function, err error) {
	f := &Function{cfg: cfg.withDefaults(), log: c.Logger}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("open function: %w", errors.Join(err, f.Close()))
		}
	}()
	if f.cfg.Tenant != "" {
		if err := tenant.Check(f.cfg.Tenant); err != nil {
			return nil, fmt.Errorf("tenant: %w", err)
		}
	}
	if err := f.openScratch(ctx, c.Openers); err != nil {
		return nil, err
	}
	read, err := f.openAPI(ctx, &c)
	if err != nil {
		return nil, err
	}
	f.serve(read)
	return f, nil
}

// serve makes read, the API, what is answered from.
func (f *Function) serve(read http.Handler) { f.handler = f.routes(gzhttp.GzipHandler(read)) }

// openAPI wires what a server has for reading, from the bucket up.
func (f *Function) openAPI(ctx context.Context, c *Components) (http.Handler, error) {
	b, err := blob.Open(ctx, f.cfg.Bucket, c.Openers, nil)
	if err != nil {
		return nil, err
	}
	f.closers = append(f.closers, b.Close)
	memory := f.cfg.MemoryBytes / 16
	bytes, err := cache.NewBucket(&cache.BucketOptions{MemoryBytes: memory}, cache.Components{From: b, Now: c.Now, Logger: f.log})
	if err != nil {
		return nil, fmt.Errorf("make cache: %w", err)
	}
	f.closers = append(f.closers, bytes.Close)
	parsed, err := cache.NewParsed[any](&cache.Options{MaxBytes: memory, TypicalBytes: 8 << 10})
	if err != nil {
		return nil, fmt.Errorf("make cache: %w", err)
	}
	f.closers = append(f.closers, func() error { parsed.Close(); return nil })
	gate := query.NewGate(f.cfg.MemoryBytes/2, nil)
	list := catalog.New(b, nil, catalog.Components{Now: c.Now})
	q, err := query.New(&query.Config{Detached: true, CatalogCacheBytes: memory, Limits: f.cfg.Limits}, query.Components{
		Catalog: list, Blocks: blocks.NewCache(bytes, parsed), Logs: b, Memory: gate,
	})
	if err != nil {
		return nil, err
	}
	f.closers = append(f.closers, q.Close)
	p := query.NewParser()
	engine := query.NewEngine(&f.cfg.Engine, p, f.log, nil)
	f.closers = append(f.closers, engine.Close)
	return api.New(&api.Options{
		Version: f.cfg.Version, Revision: f.cfg.Revision, Flags: f.cfg.Flags, CORSOrigin: f.cfg.CORSOrigin,
		Timeout: f.cfg.Engine.Timeout, Lookback: f.cfg.Engine.Lookback,
	}, api.Components{Engine: engine, Queryable: q, Parser: p, Catalog: list, Logger: f.log, Memory: gate, Started: c.Now(), Now: c.Now})
}

// Close lets go of the buckets and the caches. Invocations must have ended.
func (f *Function) Close() error {
	var err error
	for i := len(f.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, f.closers[i]())
	}
	return err
}

// Times that are kept for what follows a query: to say that it took too long, to compress, to put an answer into the scratch bucket.
const (
	answerMargin = time.Second
	// gatewayPatience is how long API Gateway waits for an HTTP API, less what it takes to get there.
	gatewayPatience = 29 * time.Second
)

// Invoke answers one event. ctx ends when the invocation is killed. The error is one of the function and not of a
// request: an event that is not understood.
func (f *Function) Invoke(ctx context.Context, payload []byte) (*Response, error) {
	e, err := parseEvent(payload)
	if err != nil {
		return nil, err
	}
	qctx, cancel := e.limit(ctx)
	r, err := e.request(qctx)
	if err != nil {
		cancel()
		return f.bufferOrStream(ctx, e, func(w http.ResponseWriter) error {
			respond(w, http.StatusBadRequest, "bad_data", api.Sentence(err))
			return nil
		}, func() {})
	}
	return f.bufferOrStream(ctx, e, func(w http.ResponseWriter) error { return f.answer(w, r, e) }, cancel)
}

// bufferOrStream gives what answer writes the form that the event asks for; cancel ends what answer works with.
func (f *Function) bufferOrStream(ctx context.Context, e *event, answer func(http.ResponseWriter) error, cancel context.CancelFunc) (*Response, error) {
	if f.cfg.Stream && e.fromURL() {
		return stream(answer, cancel), nil
	}
	defer cancel()
	return f.buffer(ctx, e, answer)
}

// answer lets the handler answer. A panic is our bug, and must not cost the function its caches; the error says that what was
// written so far is not an answer.
func (f *Function) answer(w http.ResponseWriter, r *http.Request, e *event) (err error) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		err = errAborted
		if p != http.ErrAbortHandler { //nolint:errorlint // a sentinel value, compared as net/http does
			f.log.Error("handler panicked; this is a bug in Varve", "path", r.URL.Path, "request", e.RequestContext.RequestID, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	f.handler.ServeHTTP(w, r)
	return nil
}

var errAborted = errors.New("internal error, see the log of the function")
