package parquet

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"github.com/varvedb/varve/model"
)

// footer describes the row group, the n-th of the file.
func (g *group) footer(n int) format.RowGroup {
	out := format.RowGroup{NumRows: int64(g.rows), FileOffset: g.base[0], Ordinal: int16(min(n, math.MaxInt16))}
	out.Columns = make([]format.ColumnChunk, len(g.columns))
	for i, col := range g.columns {
		c := &g.chunks[i]
		size := int64(len(c.pages))
		m := format.ColumnMetaData{
			Type: format.Type(col.typ), PathInSchema: []string{col.name}, Codec: format.Zstd, NumValues: int64(g.rows),
			TotalUncompressedSize: c.raw, TotalCompressedSize: size, DataPageOffset: g.base[i] + int64(c.dictionary),
			Encoding: []format.Encoding{format.Encoding(c.encoding)},
		}
		if c.dictionary > 0 {
			m.DictionaryPageOffset = g.base[i]
			if c.encoding != encPlain {
				m.Encoding = append(m.Encoding, format.Plain)
			}
		}
		out.Columns[i] = format.ColumnChunk{MetaData: m}
		out.TotalByteSize += c.raw
		out.TotalCompressedSize += size
	}
	out.Columns[colTs].MetaData.Statistics = statistics(long(g.minT), long(g.maxT))
	if lo, hi := g.metrics.lo, g.metrics.hi; lo != "" {
		out.Columns[colMetric].MetaData.Statistics = statistics([]byte(lo), []byte(hi))
	}
	return out
}

func long(t int64) []byte { return binary.LittleEndian.AppendUint64(nil, uint64(t)) }

func statistics(lo, hi []byte) format.Statistics {
	return format.Statistics{MinValue: lo, MaxValue: hi}
}

// fileFooter returns the FileMetaData.
func (w *Writer) fileFooter() ([]byte, error) {
	columns := w.kind.columns()
	m := format.FileMetaData{Version: 2, NumRows: w.layout.Samples, RowGroups: w.footer, CreatedBy: "varve"}
	m.Schema = []format.SchemaElement{{Name: "varve", NumChildren: thrift.New(int32(len(columns)))}}
	for _, c := range columns {
		e := format.SchemaElement{Name: c.name, Type: thrift.New(format.Type(c.typ)), RepetitionType: thrift.New(format.Required)}
		switch {
		case c.text:
			e.ConvertedType = thrift.New(deprecated.UTF8)
			e.LogicalType = format.LogicalType{Value: &format.StringType{}}
		case c.time:
			e.ConvertedType = thrift.New(deprecated.TimestampMillis)
			unit := format.TimeUnit{Value: &format.MilliSeconds{}}
			e.LogicalType = format.LogicalType{Value: &format.TimestampType{IsAdjustedToUTC: true, Unit: unit}}
		}
		m.Schema = append(m.Schema, e)
		m.ColumnOrders = append(m.ColumnOrders, format.ColumnOrder{Value: &format.TypeDefinedOrder{}})
	}
	b, err := thrift.Marshal(new(thrift.CompactProtocol), &m)
	if err == nil && len(b) > math.MaxInt32 {
		err = model.ErrLimit
	}
	if err != nil {
		return nil, fmt.Errorf("parquet footer of %d bytes: %w", len(b), err)
	}
	return b, nil
}
