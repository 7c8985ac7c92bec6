package migrate

import (
	"context"
	"errors"
	"iter"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// Fetcher is a Source that has nothing here until it is fetched, and cannot say what it has of a day without that: a server. The Extent.Fingerprint of its days names the place
// and the request, without credentials, and Extent.Whole says that the day was over long enough ago for nothing more to be expected.
//
// A whole day that was taken over is not fetched again, unless Config.Refetch asks for it. Any other day is fetched each time; if what comes is what was taken over
// already, nothing is written, else all of the day is taken over anew, beside what is there: equal samples are seen once.
type Fetcher interface {
	Source
	// Fetch brings the range, which lies within one of the days, to where Series finds it until Release. It returns a fingerprint of the content, which is the same whenever the
	// samples are, whatever the number and order of the answers that brought them, and about how many samples there are. report is told of samples, and of milliseconds of the
	// range, that came since it was called last, by one goroutine at a time. Several days are fetched at one time, each by one call.
	Fetch(ctx context.Context, r model.TimeRange, want Want, report func(samples, ms int64)) (fingerprint string, samples int64, err error)
	// Release lets go of what was fetched of a day, if anything was.
	Release(day model.Day) error
}

// Downloader is a Source that brings files here when the first day needs them. tell is called before Days; the source calls it with the bytes that came since the last
// call and those that all days together need, also concurrently.
type Downloader interface {
	Source
	TellDownload(tell func(bytes, total int64))
}

// fetched takes over a day of a server. The day is a job under the id of its content, so that the parts of two tries are only taken for the same if they are; that the place has
// nothing more is noted under the id of the place. A crash between the two costs another fetch.
func (d *dayJob) fetched(ctx context.Context, f Fetcher) (err error) {
	if done, err := d.placeComplete(ctx); err != nil || done {
		return err
	}
	place := d.writer
	d.count.fetching(d.e.Day, true)
	defer func() {
		d.count.fetching(d.e.Day, false)
		err = errors.Join(err, f.Release(d.e.Day))
	}()
	if err := d.fetch(ctx, f); err != nil {
		return err
	}
	if err := d.rounds(ctx); err != nil || !d.e.Whole || !d.complete {
		return err
	}
	_, err = d.c.Catalog.Commit(ctx, d.cfg.Tenant, d.e.Day, catalog.Add{Writer: place, Generation: complete})
	return err
}

// placeComplete reports whether the day was over when it was taken over.
func (d *dayJob) placeComplete(ctx context.Context) (bool, error) {
	if !d.e.Whole || d.cfg.DryRun || d.cfg.Refetch {
		return false, nil
	}
	p, err := d.c.Catalog.Partition(ctx, d.cfg.Tenant, d.e.Day, nil)
	if err != nil || !p.FlushedThrough(d.writer, complete) {
		return false, err
	}
	d.count.fetch(0, d.rangeOf(d.e.Day).Length())
	d.count.day(true)
	return true, nil
}

// fetch brings the day here, and makes its id that of its content.
func (d *dayJob) fetch(ctx context.Context, f Fetcher) error {
	r := d.rangeOf(d.e.Day)
	left := r.Length()
	print, n, err := f.Fetch(ctx, r, d.want, func(samples, ms int64) {
		ms = min(ms, left)
		left -= ms
		d.count.fetch(samples, ms)
		d.job.progress()
	})
	if err != nil {
		return err
	}
	d.count.fetch(0, left)
	d.e.Fingerprint, d.e.Samples = "content "+print, n
	d.writer = d.job.writer(&d.e)
	return nil
}

// fetchedSeries are the series of a day that is fetched for them and let go of behind them.
func (d *dayJob) fetchedSeries(ctx context.Context, f Fetcher) iter.Seq2[blocks.BuildSeries, error] {
	return func(yield func(blocks.BuildSeries, error) bool) {
		err := d.fetch(ctx, f)
		if err == nil {
			for s, err := range d.series(ctx) {
				if !yield(s, err) {
					_ = f.Release(d.e.Day) // nobody is left to be told; Close removes it too
					return
				}
				if err != nil {
					_ = f.Release(d.e.Day)
					return
				}
			}
		}
		if err = errors.Join(err, f.Release(d.e.Day)); err != nil {
			yield(blocks.BuildSeries{}, err)
		}
	}
}
