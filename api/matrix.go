package api

import (
	"bytes"
	"math"
	"strconv"

	jsoniter "github.com/json-iterator/go"
	"github.com/prometheus/prometheus/promql"
	v1 "github.com/prometheus/prometheus/web/api/v1"
)

// matrixCodec implements v1.Codec: it writes what v1.JSONCodec writes, byte for byte, and matrices of floats in less time: those are
// what a dashboard fetches, and writing one took as long as computing it. All else is left to v1.JSONCodec, the envelope around a matrix included. It keeps no state.
type matrixCodec struct{ v1.JSONCodec }

// emptyResult is where the envelope holds the matrix.
const emptyResult = `"resultType":"matrix","result":[]`

// Encode implements v1.Codec.
func (c matrixCodec) Encode(resp *v1.Response) ([]byte, error) {
	data, ok := resp.Data.(*v1.QueryData)
	if !ok {
		return c.JSONCodec.Encode(resp)
	}
	matrix, ok := data.Result.(promql.Matrix)
	if !ok || !floatsOnly(matrix) {
		return c.JSONCodec.Encode(resp)
	}
	hollow, around := *data, *resp
	hollow.Result = promql.Matrix{}
	around.Data = &hollow
	envelope, err := c.JSONCodec.Encode(&around)
	if err != nil {
		return nil, err
	}
	// The first is the one: what stands before it is the status.
	at := bytes.Index(envelope, []byte(emptyResult))
	if at < 0 {
		return c.JSONCodec.Encode(resp)
	}
	at += len(emptyResult) - 1
	out := make([]byte, 0, len(envelope)+matrixBytes(matrix))
	out = append(out, envelope[:at]...)
	if out, err = appendMatrix(out, matrix); err != nil {
		return nil, err
	}
	return append(out, envelope[at:]...), nil
}

func floatsOnly(m promql.Matrix) bool {
	for i := range m {
		if len(m[i].Histograms) > 0 {
			return false
		}
	}
	return len(m) > 0
}

// matrixBytes guesses the size of a matrix.
func matrixBytes(m promql.Matrix) int {
	n := 0
	for i := range m {
		n += 128 + 40*len(m[i].Floats)
	}
	return n
}

// appendMatrix appends the series, with commas between them.
func appendMatrix(out []byte, m promql.Matrix) ([]byte, error) {
	stream := jsoniter.ConfigCompatibleWithStandardLibrary.BorrowStream(nil)
	defer jsoniter.ConfigCompatibleWithStandardLibrary.ReturnStream(stream)
	var steps stepTexts
	for i := range m {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, `{"metric":`...)
		if m[i].Metric.IsEmpty() {
			out = append(out, "{}"...)
		} else {
			stream.Reset(nil)
			stream.WriteVal(m[i].Metric) // by the encoder that package v1 registered
			if stream.Error != nil {
				return nil, stream.Error
			}
			out = append(out, stream.Buffer()...)
		}
		if len(m[i].Floats) > 0 {
			out = append(out, `,"values":[`...)
			for j, p := range m[i].Floats {
				if j > 0 {
					out = append(out, ',')
				}
				out = append(out, '[')
				out = append(out, steps.of(j, p.T)...)
				out = appendValue(append(out, ',', '"'), p.F)
				out = append(out, '"', ']')
			}
			out = append(out, ']')
		}
		out = append(out, '}')
	}
	return out, nil
}

// stepTexts are the texts of timestamps by their place in a series. Most series of a matrix have a point at every step, so that the text is
// the same for all.
type stepTexts struct {
	t    []int64
	text [][]byte
}

func (s *stepTexts) of(i int, t int64) []byte {
	if i < len(s.t) {
		if s.t[i] != t {
			s.t[i], s.text[i] = t, appendTimestamp(s.text[i][:0], t)
		}
		return s.text[i]
	}
	s.t, s.text = append(s.t, t), append(s.text, appendTimestamp(nil, t))
	return s.text[i]
}

// appendTimestamp appends milliseconds as seconds with up to three decimals, of which v1.JSONCodec leaves out none but all.
func appendTimestamp(out []byte, t int64) []byte {
	if t < 0 {
		out, t = append(out, '-'), -t
	}
	out = strconv.AppendInt(out, t/1000, 10)
	ms := t % 1000
	if ms == 0 {
		return out
	}
	return append(out, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
}

// appendValue appends a value as JSON has numbers, and NaN and infinities as Go has them.
func appendValue(out []byte, f float64) []byte {
	abs := math.Abs(f)
	if abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		return strconv.AppendFloat(out, f, 'e', -1, 64)
	}
	if abs >= 1e-3 && abs < 1e12 {
		if m := math.Round(f * 1000); m/1000 == f {
			return appendThousandths(out, int64(m))
		}
	}
	return strconv.AppendFloat(out, f, 'f', -1, 64)
}

// appendThousandths appends m/1000 without zeros at its end. For a value of at most 15 digits this is the shortest text that gives the same
// float64, which is what strconv looks for, since no two decimals of that length are the same float64.
func appendThousandths(out []byte, m int64) []byte {
	if m < 0 {
		out, m = append(out, '-'), -m
	}
	out = strconv.AppendInt(out, m/1000, 10)
	switch rest := m % 1000; {
	case rest == 0:
		return out
	case rest%100 == 0:
		return append(out, '.', byte('0'+rest/100))
	case rest%10 == 0:
		return append(out, '.', byte('0'+rest/100), byte('0'+rest/10%10))
	default:
		return append(out, '.', byte('0'+rest/100), byte('0'+rest/10%10), byte('0'+rest%10))
	}
}
