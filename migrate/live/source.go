package live

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/spill"
	"github.com/varvedb/varve/model"
)

// Options are the tunables of a source; nil means defaults.
type Options struct {
	// TempDir is where what was fetched is kept until it is taken over, SortBytes how much of it is held in memory, by Days days that are fetched at one time and by the requests that
	// are under way. Defaults: that of the system, migrate.DefaultSortBytes, 2.
	TempDir   string
	SortBytes int64
	Days      int
	// Requests is how many are under way at one time. Default 4.
	Requests int
	// Matchers are sent to the server.
	Matchers []*labels.Matcher
	// Stall is how long an answer may bring next to nothing before the request is given up. Default 2 minutes.
	Stall time.Duration
	// Tries is how often one slice is asked for. Default 8.
	Tries int
}

// Components are what a source works with.
type Components struct {
	// Client sends requests; it knows of credentials, certificates and proxies.
	Client *http.Client
	Now    func() time.Time
	// Sleep waits, or returns the error of the context.
	Sleep func(context.Context, time.Duration) error
	// Rand returns a number in [0, 1), for the jitter of retries.
	Rand func() float64
	// Retrying, if not nil, is told of each failure that is waited for and tried again. It may be called by several goroutines at one time.
	Retrying func(err error, wait time.Duration)
}

// Source is a server, see the package. It is a migrate.Fetcher, and as safe for concurrent use as that asks for.
type Source struct {
	protocol protocol
	http     *client
	skips    *migrate.Skips
	opts     Options
	c        Components
	pace     pace
	requests chan struct{} // holds one for each that is under way

	mu   sync.Mutex // guards days
	days map[model.Day]*spill.Sorter
}

var _ migrate.Fetcher = (*Source)(nil)

// protocol is what a server speaks.
type protocol interface {
	// name is that of the protocol, and whatever else decides what is asked for.
	name() string
	// read asks for the samples of a range and hands them to out as they come. Errors that another try may do away with are *failure.
	read(ctx context.Context, r model.TimeRange, out *sink) error
	// oldest is the time of the first sample, if the server tells it.
	oldest(ctx context.Context) (ms int64, ok bool)
}

// newSource is a source at the URL, whose path gets the suffix if it does not end with the end.
func newSource(rawURL, suffix, end string, skips *migrate.Skips, o *Options, c Components) (*Source, error) {
	s := &Source{skips: skips, c: c, days: map[model.Day]*spill.Sorter{}}
	if o != nil {
		s.opts = *o
	}
	if s.opts.SortBytes <= 0 {
		s.opts.SortBytes = migrate.DefaultSortBytes
	}
	for n, byDefault := range map[*int]int{&s.opts.Days: 2, &s.opts.Requests: 4, &s.opts.Tries: 8} {
		if *n <= 0 {
			*n = byDefault
		}
	}
	if s.opts.Stall <= 0 {
		s.opts.Stall = 2 * time.Minute
	}
	u, err := parseURL(rawURL, suffix, end)
	if err != nil {
		return nil, err
	}
	s.http = newClient(u, c.Client, s.opts.Stall)
	s.requests = make(chan struct{}, s.opts.Requests)
	s.pace = pace{size: firstSliceMs, ceiling: maxSliceMs}
	return s, nil
}

// settleMs is how long after its end a day is taken to be over: what is scraped then has come, late senders included.
const settleMs = 3 * 3_600_000

// maxDays bounds what is asked for: a hundred years.
const maxDays = 36_600

// Days implements migrate.Source. What there is, is known when it is fetched: the days are all between the first that is asked for, or that the server has, and now.
func (s *Source) Days(ctx context.Context, r model.TimeRange, _ migrate.Want) ([]migrate.Extent, error) {
	now := s.c.Now().UnixMilli()
	if r.MinMs <= model.MinTimeMs {
		oldest, ok := s.protocol.oldest(ctx)
		if !ok {
			return nil, fmt.Errorf("%s does not tell how far back its samples go: say from when on they are wanted (--start): %w", s.http.place, model.ErrInvalid)
		}
		r.MinMs = max(oldest, r.MinMs)
	}
	r.MaxMs = min(r.MaxMs, now)
	if r.Empty() {
		return nil, nil
	}
	first, last := model.DayOf(r.MinMs), model.DayOf(r.MaxMs)
	if last-first > maxDays {
		return nil, fmt.Errorf("%d days are asked for, at most %d: %w", last-first+1, maxDays, model.ErrInvalid)
	}
	print := fmt.Sprintf("%q %s", s.protocol.name(), s.http.identity)
	out := make([]migrate.Extent, 0, last-first+1)
	for d := first; d <= last; d++ {
		out = append(out, migrate.Extent{Day: d, Fingerprint: print, Whole: d.Range().MaxMs+settleMs < now})
	}
	return out, nil
}

// Fetch implements migrate.Fetcher.
func (s *Source) Fetch(ctx context.Context, r model.TimeRange, want migrate.Want, report func(samples, ms int64)) (string, int64, error) {
	day := model.DayOf(r.MinMs)
	sorter := spill.New(s.opts.TempDir, s.sortBytes(), spill.LastWins)
	sorter.Stop = ctx.Err
	s.mu.Lock()
	old := s.days[day]
	s.days[day] = sorter
	s.mu.Unlock()
	if old != nil {
		if err := old.Close(); err != nil {
			return "", 0, err
		}
	}
	r.MaxMs = min(r.MaxMs, s.c.Now().UnixMilli())
	f := &fetch{s: s, next: r, out: sorter, want: want, told: report}
	if err := f.run(ctx); err != nil {
		return "", 0, fmt.Errorf("fetch from %s: %w", s.http.place, err)
	}
	if err := sorter.Finish(); err != nil {
		return "", 0, err
	}
	return spill.Print(sorter.Series(ctx, day), day.Range())
}

// sortBytes is the share of each day, and of each answer that is under way, in the memory for sorting.
func (s *Source) sortBytes() int64 { return s.opts.SortBytes / int64(s.opts.Days+s.opts.Requests) }

// Series implements migrate.Source: of a day that was fetched. Matchers were applied by Fetch.
func (s *Source) Series(ctx context.Context, r model.TimeRange, _ migrate.Want) iter.Seq2[model.Series, error] {
	day := model.DayOf(r.MinMs)
	s.mu.Lock()
	sorter := s.days[day]
	s.mu.Unlock()
	if sorter == nil {
		return func(yield func(model.Series, error) bool) {
			yield(nil, fmt.Errorf("day %s was not fetched: %w", day.Dashed(), model.ErrNotFound))
		}
	}
	return sorter.Series(ctx, day)
}

// Release implements migrate.Fetcher.
func (s *Source) Release(day model.Day) error {
	s.mu.Lock()
	sorter := s.days[day]
	delete(s.days, day)
	s.mu.Unlock()
	if sorter == nil {
		return nil
	}
	return sorter.Close()
}

// Close implements migrate.Source.
func (s *Source) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, sorter := range s.days {
		errs = append(errs, sorter.Close())
	}
	clear(s.days)
	if s.c.Client != nil {
		s.c.Client.CloseIdleConnections()
	}
	return errors.Join(errs...)
}

// parseURL is the URL of a server, whose path gets the suffix unless it ends with the end.
func parseURL(raw, suffix, end string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		// The error of url.Parse has the URL in it, password included.
		return nil, fmt.Errorf("URL of the server: want http://HOST[:PORT][/PATH] or https://…: %w", model.ErrInvalid)
	}
	u.Fragment, u.RawFragment = "", ""
	if u.Path == "" {
		u.Path = "/" // else what is joined to it has no slash before it
	}
	if !strings.HasSuffix(strings.TrimSuffix(u.Path, "/"), end) {
		u = u.JoinPath(suffix)
	}
	return u, nil
}
