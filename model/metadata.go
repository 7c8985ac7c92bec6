package model

import (
	"fmt"

	commonmodel "github.com/prometheus/common/model"
)

// Metadata is what is said of a metric, not of one of its series.
type Metadata struct {
	Type       commonmodel.MetricType
	Unit, Help string
}

// MetadataRow says something of a metric, as decoders make it and as it is stored. Row is opaque to all but [AppendMetadata] and
// [DecodeMetadata]:
//
//	0x00, 0x03    no form that HistogramSample knows begins so
//	type          1 byte: 0 unknown, 1 counter, 2 gauge, 3 histogram, 4 gauge histogram, 5 summary, 6 info, 7 stateset
//	unit, help    uvarint length and bytes
type MetadataRow struct {
	Metric []byte
	Row    []byte
}

const (
	rowMetadata = 3
	// MaxHelpBytes is what is kept of a help text and of a unit.
	MaxHelpBytes = 4096
)

// metricTypes are the types by their number in remote write, 1.0 and 2.0.
var metricTypes = [...]commonmodel.MetricType{
	commonmodel.MetricTypeUnknown, commonmodel.MetricTypeCounter, commonmodel.MetricTypeGauge, commonmodel.MetricTypeHistogram,
	commonmodel.MetricTypeGaugeHistogram, commonmodel.MetricTypeSummary, commonmodel.MetricTypeInfo, commonmodel.MetricTypeStateset,
}

// AppendMetadata appends a row to dst. The type is its number in remote write; one that is not known there is 0.
func AppendMetadata[T string | []byte](dst []byte, typ uint64, unit, help T) []byte {
	if typ >= uint64(len(metricTypes)) {
		typ = 0
	}
	dst = append(dst, startMark, rowMetadata, byte(typ))
	return AppendText(AppendText(dst, cutText(unit)), cutText(help))
}

// cutText cuts a text to MaxHelpBytes, between characters.
func cutText[T string | []byte](s T) T {
	if len(s) <= MaxHelpBytes {
		return s
	}
	n := MaxHelpBytes
	for n > MaxHelpBytes-3 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n]
}

// MetadataTypeNumber is the number of a type in remote write.
func MetadataTypeNumber(t commonmodel.MetricType) uint64 {
	for i := range metricTypes {
		if metricTypes[i] == t {
			return uint64(i)
		}
	}
	return 0
}

// DecodeMetadata reads a row. One of another form is ErrCorrupt.
func DecodeMetadata(row []byte) (Metadata, error) {
	if len(row) < 3 || row[0] != startMark || row[1] != rowMetadata || int(row[2]) >= len(metricTypes) {
		return Metadata{}, fmt.Errorf("row of %d bytes holds no metadata: %w", len(row), ErrCorrupt)
	}
	m := Metadata{Type: metricTypes[row[2]]}
	unit, rest, ok := text(row[3:])
	help, _, ok2 := text(rest)
	if !ok || !ok2 {
		return Metadata{}, fmt.Errorf("metadata of %d bytes is cut off: %w", len(row), ErrCorrupt)
	}
	m.Unit, m.Help = unit, help
	return m, nil
}
