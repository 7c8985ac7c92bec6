package remotewrite

import (
	"bytes"
	"slices"

	"github.com/varvedb/varve/model"
)

// metadata reads a prometheus.MetricMetadata of version 1.0, whose content begins at byte at of the message.
func (r *Request) metadata(b []byte, at int) error {
	const fieldType, fieldName, fieldHelp, fieldUnit = 1, 2, 4, 5
	var typ uint64
	var name, help, unit []byte
	for i := 0; i < len(b); {
		field, wire, next := tag(b, i)
		if next < 0 || field <= 0 {
			return malformed(at, "no valid field tag in metadata")
		}
		switch field {
		case fieldType:
			if wire != wireVarint {
				return malformed(at, "the type of a metric has wire type %d", wire)
			}
			if typ, i = uvarint(b, next); i < 0 {
				return malformed(at, "the type of a metric is cut off")
			}
		case fieldName, fieldHelp, fieldUnit:
			start, end := span(b, next)
			if wire != wireLen || end < 0 {
				return malformed(at, "field %d of metadata is malformed", field)
			}
			switch i = end; field {
			case fieldName:
				name = b[start:end]
			case fieldHelp:
				help = b[start:end]
			default:
				unit = b[start:end]
			}
		default:
			if i = skip(b, next, wire); i < 0 {
				return malformed(at, "unknown field %d of metadata is cut off", field)
			}
		}
	}
	if len(name) == 0 {
		return nil
	}
	return r.keepMetadata(name, uint64(uint32(typ)), unit, help)
}

// metadataV2 is the Metadata of a series of version 2.0.
type metadataV2 struct {
	typ        uint64
	help, unit uint32
}

// read reads it. The series' field begins at byte at of the message. What is repeated replaces what was there, field by field.
func (m *metadataV2) read(b []byte, at int) error {
	const fieldType, fieldHelp, fieldUnit = 1, 3, 4
	for i := 0; i < len(b); {
		field, wire, next := tag(b, i)
		if next < 0 || field <= 0 {
			return malformed(at, "no valid field tag in metadata")
		}
		if field != fieldType && field != fieldHelp && field != fieldUnit {
			if i = skip(b, next, wire); i < 0 {
				return malformed(at, "unknown field %d of metadata is cut off", field)
			}
			continue
		}
		v, end := uvarint(b, next)
		if wire != wireVarint || end < 0 {
			return malformed(at, "field %d of metadata is malformed", field)
		}
		switch i = end; field {
		case fieldType:
			m.typ = uint64(uint32(v))
		case fieldHelp:
			m.help = uint32(v)
		case fieldUnit:
			m.unit = uint32(v)
		}
	}
	return nil
}

// metadataV2 puts the metadata of a named series into the batch, unless there is none or it is there already. References that lead nowhere are
// the series' fault.
func (r *Request) metadataV2(w *seriesWalk) error {
	m, s := &w.meta, &r.v2
	if *m == (metadataV2{}) {
		return nil
	}
	n := uint32(min(len(s.symbols), noSymbol))
	switch {
	case m.help >= n:
		w.blame(model.ReasonLabels, badRef("help_ref", m.help, len(s.symbols)))
		return nil
	case m.unit >= n:
		w.blame(model.ReasonLabels, badRef("unit_ref", m.unit, len(s.symbols)))
		return nil
	}
	if int(w.metric) < len(s.told) && s.told[w.metric] {
		return nil
	}
	if len(s.told) < len(s.symbols) {
		s.told = slices.Grow(s.told[:0], len(s.symbols))[:len(s.symbols)]
		clear(s.told)
	}
	s.told[w.metric] = true
	help, unit := s.text(m.help), s.text(m.unit)
	if m.typ == 0 && len(help) == 0 && len(unit) == 0 {
		return nil
	}
	return r.keepMetadata(family(s.text(w.metric), m.typ), m.typ, unit, help)
}

// suffixes are what the names of series have more than those of their metrics, by type. Metadata is said of the metric.
var suffixes = [...][]string{
	3: {"_bucket", "_count", "_sum"},
	4: {"_bucket", "_gcount", "_gsum"},
	5: {"_count", "_sum"},
}

// family is the name of the metric that a series belongs to.
func family(name []byte, typ uint64) []byte {
	if typ < uint64(len(suffixes)) {
		for _, s := range suffixes[typ] {
			if rest, ok := bytes.CutSuffix(name, []byte(s)); ok && len(rest) > 0 {
				return rest
			}
		}
	}
	return name
}

func (r *Request) keepMetadata(name []byte, typ uint64, unit, help []byte) error {
	const rowBytes = 64 // of the batch's entry
	if err := r.write(rowBytes + len(name) + min(len(unit), model.MaxHelpBytes) + min(len(help), model.MaxHelpBytes)); err != nil {
		return err
	}
	from := len(r.arena)
	r.arena = model.AppendMetadata(r.arena, typ, unit, help)
	r.Batch.Metadata = append(r.Batch.Metadata, model.MetadataRow{Metric: name, Row: r.arena[from:len(r.arena):len(r.arena)]})
	return nil
}
