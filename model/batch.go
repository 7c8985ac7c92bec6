package model

import (
	"context"

	"github.com/prometheus/prometheus/model/labels"
)

// Sample is one float value of a series. Values are compared and kept by their bits: a
// staleness marker and any other NaN payload come back as they went in.
type Sample struct {
	T int64
	V float64
}

// HistogramSample is one native histogram of a series. H is the histogram as a
// canonical protobuf message prometheus.Histogram of remote write (prompb.Histogram), its
// timestamp field included; it is opaque to the write path. A sample with a start timestamp, be it a
// float or a histogram, is one too: see SplitStart.
type HistogramSample struct {
	T int64
	H []byte
}

// Batch is one decoded write request: series in the order of the request, their samples
// beside each other in shared arrays, so that decoding allocates nothing per label or series.
//
// The labels of a series stay as the bytes that arrived (Key). A store that has seen a key
// before finds its series by hashing it; only for a new one does it call Labels.Decode. Two
// different keys may mean the same series (label order); the same key always means the same one.
type Batch struct {
	// Labels decodes the keys of this batch. Keys of two decoders with different Name() may not be compared.
	Labels LabelDecoder
	Series []BatchSeries
	// Samples and Histograms hold the samples of all series; BatchSeries says which are whose.
	Samples    []Sample
	Histograms []HistogramSample
	// Exemplars and Metadata belong to series and metrics, of the batch or not. Rows of one series and time stand for all its exemplars
	// of that millisecond; the last of them is kept. An exemplar is kept if its series is known, from the batch or before it.
	Exemplars []ExemplarRow
	Metadata  []MetadataRow
}

// Empty reports whether there is nothing in the batch.
func (b *Batch) Empty() bool { return len(b.Series)+len(b.Exemplars)+len(b.Metadata) == 0 }

// BatchSeries is one series of a Batch. The same series may occur several times.
type BatchSeries struct {
	Key []byte
	// Samples[First:First+Count] are its floats, Histograms[FirstHistogram:FirstHistogram+HistogramCount]
	// its native histograms.
	First, Count                   int32
	FirstHistogram, HistogramCount int32
}

// LabelDecoder turns a series key of one protocol into labels.
type LabelDecoder interface {
	// Name tells the keys of decoders apart; it is part of the hash of a key. Short and constant.
	Name() string
	// Decode adds the labels of key to b (reset by the caller), in any order. The strings must not alias key.
	// It checks the form only; names, duplicates and limits are the store's business.
	Decode(key []byte, b *labels.ScratchBuilder) error
}

// AppendResult says what became of a batch that was not refused as a whole.
type AppendResult struct {
	// Samples and Histograms accepted, those that were already there with the same value included.
	Samples, Histograms int
	// Exemplars that were accepted, those that were already there included.
	Exemplars int
	// DroppedExemplars and DroppedMetadata were not: exemplars of series that are not known, and what is too much. That is no fault of the request.
	DroppedExemplars, DroppedMetadata int
	// Rejected series or samples and why, at most the first ten; the rest is counted in RejectedSamples.
	Rejected        []Rejection
	RejectedSamples int
	// Reasons are the rejected samples by reason, for metrics; nil if there are none.
	Reasons map[Reason]int
}

// Reason is a class of rejections, coarse enough for the label of a metric.
type Reason string

// The reasons.
const (
	ReasonLabels    Reason = "labels"    // missing or malformed
	ReasonTime      Reason = "time"      // outside the years that are kept
	ReasonHistogram Reason = "histogram" // a native histogram that is none
	ReasonLimit     Reason = "limit"     // too many or too long labels
	ReasonSeries    Reason = "series"    // more active series than the tenant may have: sent again after a flush, they may pass
)

// Reasons are all of them, for metrics that begin at 0.
func Reasons() []Reason {
	return []Reason{ReasonLabels, ReasonTime, ReasonHistogram, ReasonLimit, ReasonSeries}
}

// BadLine is a line of a body that does not parse.
type BadLine struct {
	// Number counts from 1.
	Number int
	Err    error
}

// Rejection is a fault of one series, permanent but for ReasonSeries.
type Rejection struct {
	// Series is the series as text, cut to a readable length.
	Series string
	// Err says what is wrong. It wraps ErrInvalid or, for a limit on the series itself, ErrLimit.
	Err error
}

// Appender is the write seam: a local ingester, or a distributor over many.
type Appender interface {
	// Append makes the good part of the batch durable as the configured mode promises, then
	// returns. The batch and everything in it stay the caller's: nothing is kept after the return.
	//
	// An error (ErrLimit, ErrUnavailable, ErrInvalid for a bad tenant, or the context's) means nothing
	// of the batch was acknowledged; some of it may still turn out to be stored. Permanent faults of single series are
	// no error but Rejections. Safe for concurrent use.
	Append(ctx context.Context, tenant string, b *Batch) (AppendResult, error)
}
