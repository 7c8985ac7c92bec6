package prom

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/tsdb/record"
	"github.com/prometheus/prometheus/tsdb/tombstones"
	"github.com/prometheus/prometheus/tsdb/wlog"

	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/promchunk"
	"github.com/varvedb/varve/migrate/spill"
	"github.com/varvedb/varve/model"
)

// hasLog: there is a log of that name, wal or wbl.
func (t *TSDB) hasLog(name string) bool {
	info, err := os.Stat(filepath.Join(t.dir, name))
	return err == nil && info.IsDir()
}

// logReader reads the log of Prometheus into a sorter.
type logReader struct {
	t       *TSDB
	r       model.TimeRange
	want    migrate.Want
	out     *spill.Sorter // what is read now goes there
	decoder record.Decoder
	// series are those that are wanted; deleted what was deleted of them.
	series  *logSeries
	deleted logDeletes
	// fromMs is where the blocks end: what is older is in them, or was deleted from them.
	fromMs int64
	rows   logRows
	// damaged: a part of the log cannot be read. unknown is how many samples there are of series that the log does not name.
	damaged bool
	unknown int64

	decode    promchunk.Decoder
	columns   model.Columns
	seriesBuf []record.RefSeries
	samples   []record.RefSample
	whole     []record.RefHistogramSample
	float     []record.RefFloatHistogramSample
	stones    []tombstones.Stone
}

// lateShare is which part of the memory for sorting out-of-order samples get, where there are any.
const lateShare = 4

// readLog sorts what the log has in the range.
func (t *TSDB) readLog(ctx context.Context, r model.TimeRange, want migrate.Want) (err error) {
	series, err := newLogSeries(t.opts.TempDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, series.Close()) }()
	l := &logReader{t: t, r: r, want: want, decoder: record.NewDecoder(nil, nil), series: series, fromMs: math.MinInt64}
	l.rows = logRows{l: l, said: map[string][]byte{}, lastMs: model.MinTimeMs - 1}
	sortBytes := t.opts.SortBytes
	if t.hasLog("wbl") {
		t.late = spill.New(t.opts.TempDir, sortBytes/lateShare, spill.FirstWins)
		t.late.Stop = ctx.Err
		sortBytes -= sortBytes / lateShare
	}
	t.log = spill.New(t.opts.TempDir, sortBytes, spill.FirstWins)
	t.log.Stop = ctx.Err
	for _, b := range t.blocks {
		// Blocks of out-of-order samples, or of some series, say nothing about how far the others have come.
		if c := &b.meta.Compaction; !c.FromOutOfOrder() && !c.FromStaleSeries() && !c.FromSelectedSeries() {
			l.fromMs = max(l.fromMs, b.meta.MaxTime)
		}
	}
	if from, ok, err := wlog.ReadMinValidTime(filepath.Join(t.dir, "wal")); err == nil && ok {
		l.fromMs = max(l.fromMs, from) // a checkpoint that cannot be read is named below
	}
	// Deletes come after the samples that they are about, so they are read first.
	dir := filepath.Join(t.dir, "wal")
	if err := l.readDir(ctx, dir, l.takeDeletes); err != nil {
		return err
	}
	if err := l.deleted.spread(l.series); err != nil {
		return err
	}
	// Out-of-order samples lie in a log of their own, and may be older than the blocks.
	if t.late != nil {
		fromMs := l.fromMs
		l.fromMs, l.out = math.MinInt64, t.late
		if err := l.readSegments(ctx, filepath.Join(t.dir, "wbl"), anySegment, l.takeSamples); err != nil {
			return err
		}
		l.fromMs = fromMs
	}
	l.out = t.log
	if err := l.readDir(ctx, dir, l.takeSamples); err != nil {
		return err
	}
	if err := l.mend(ctx); err != nil {
		return err
	}
	l.out = t.log
	if err := l.rows.finish(); err != nil {
		return err
	}
	if t.late != nil {
		if err := t.late.Finish(); err != nil {
			return err
		}
	}
	return t.log.Finish()
}

// mend takes what a damaged log lacks from where else it may be, and names what is not to be had.
func (l *logReader) mend(ctx context.Context) error {
	if l.damaged {
		if err := l.takeHeadChunks(ctx); err != nil {
			return err
		}
	}
	if l.unknown == 0 {
		return nil
	}
	return l.t.skips.Add(migrate.Skip{
		Kind: "samples", Where: filepath.Join(l.t.dir, "wal"), Samples: l.unknown, Count: l.unknown, Reason: "the log does not name the series that they are of: a checkpoint or a segment is missing or damaged",
	})
}

// errRecord: a record cannot be decoded.
var errRecord = errors.New("record does not decode")

func badRecord(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errRecord, err)
}

// takeDeletes notes what was deleted, and which series there are.
func (l *logReader) takeDeletes(rec []byte) (err error) {
	switch l.decoder.Type(rec) {
	case record.Series:
		return l.takeSeries(rec)
	case record.Tombstones:
	default:
		return nil
	}
	l.stones, err = l.decoder.Tombstones(rec, l.stones[:0])
	for _, s := range l.stones {
		for _, i := range s.Intervals {
			l.deleted.add(stretch{chunks.HeadSeriesRef(s.Ref), i.Mint, i.Maxt})
		}
	}
	return badRecord(err)
}

func (l *logReader) takeSeries(rec []byte) (err error) {
	l.seriesBuf, err = l.decoder.Series(rec, l.seriesBuf[:0])
	for _, s := range l.seriesBuf {
		if !l.want(s.Labels) {
			l.series.refuse(s.Ref)
			continue
		}
		if err := l.series.put(s.Ref, s.Labels); err != nil {
			return err
		}
	}
	return badRecord(err)
}

// takeSamples takes series and samples.
func (l *logReader) takeSamples(rec []byte) (err error) {
	switch l.decoder.Type(rec) {
	case record.Series:
		return l.takeSeries(rec)
	case record.Samples, record.SamplesV2:
		l.samples, err = l.decoder.Samples(rec, l.samples[:0])
		for _, s := range l.samples {
			var h []byte
			if s.ST != 0 {
				h = model.FloatWithStart(s.ST, s.V)
			}
			if err := l.add(s.Ref, s.T, s.V, h); err != nil {
				return err
			}
		}
		return badRecord(err)
	case record.HistogramSamples, record.CustomBucketsHistogramSamples, record.HistogramSamplesV2:
		l.whole, err = l.decoder.HistogramSamples(rec, l.whole[:0])
		for _, s := range l.whole {
			h, err := promchunk.Histogram(s.T, s.ST, s.H)
			if err == nil {
				err = l.add(s.Ref, s.T, 0, h)
			}
			if err != nil {
				return err
			}
		}
		return badRecord(err)
	case record.FloatHistogramSamples, record.CustomBucketsFloatHistogramSamples, record.FloatHistogramSamplesV2:
		l.float, err = l.decoder.FloatHistogramSamples(rec, l.float[:0])
		for _, s := range l.float {
			h, err := promchunk.FloatHistogram(s.T, s.ST, s.FH)
			if err == nil {
				err = l.add(s.Ref, s.T, 0, h)
			}
			if err != nil {
				return err
			}
		}
		return badRecord(err)
	case record.Exemplars:
		return l.rows.takeExemplars(rec)
	case record.Metadata:
		return l.rows.takeMetadata(rec)
	}
	return nil
}

// add adds a sample, if it is wanted.
func (l *logReader) add(ref chunks.HeadSeriesRef, t int64, v float64, h []byte) error {
	p, ok := l.wanted(ref, t)
	if !ok || t < l.fromMs {
		// Prometheus forgets series whose out-of-order samples are in a block and in the log for such yet.
		if l.out == l.t.log && t >= l.fromMs && l.r.Contains(t) && !l.series.known(ref) {
			l.unknown++
		}
		return nil
	}
	l.rows.lastMs = max(l.rows.lastMs, t)
	var key [8]byte
	binary.LittleEndian.PutUint64(key[:], uint64(p.offset()))
	s := l.out.Find(key[:])
	if s == nil {
		ls, err := l.series.labels(p)
		if err != nil {
			return err
		}
		s = l.out.Open(key[:], ls)
	}
	return l.out.Put(s, t, v, h)
}

// wanted reports whether the series and the time are asked for and were not deleted, and where the labels are.
func (l *logReader) wanted(ref chunks.HeadSeriesRef, t int64) (place, bool) {
	p, ok := l.series.places[ref]
	return p, ok && l.r.Contains(t) && !(p.deleted() && l.deleted.has(ref, t))
}
