package vmline

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	promvalue "github.com/prometheus/prometheus/model/value"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/model"
)

func TestLine(t *testing.T) {
	d := NewDecoder()
	c := &model.Columns{T: []int64{9}, V: []float64{9}}
	ls, err := d.Line([]byte(` { "values": [1, null, "Infinity", -0.5, "-Inf", 1e300, 0.1] , "more": {"x":[1]}, "timestamps":[1,2,3,4,5,6,-7],"metric":{"job":"a \"b\u00e4","__name__":"up","empty":""} } `), c)
	require.NoError(t, err)
	require.Equal(t, labels.FromStrings("__name__", "up", "job", `a "bä`), ls)
	require.Equal(t, []int64{1, 2, 3, 4, 5, 6, -7}, c.T)
	require.True(t, promvalue.IsStaleNaN(c.V[1]), "VictoriaMetrics has no other null")
	c.V[1] = 0
	require.Equal(t, []float64{1, 0, math.Inf(1), -0.5, math.Inf(-1), 1e300, 0.1}, c.V)
	for _, bad := range []string{
		``, `{`, `[]`, `7`, `{"metric":{"a":1},"values":[],"timestamps":[]}`, `{"metric":{},"values":[1],"timestamps":[]}`, `{"metric":{},"values":["x"],"timestamps":[1]}`,
		`{"metric":{},"values":[1],"timestamps":[1.5]}`, `{"metric":{},"values":[1],"timestamps":[1]} x`, `{"metric":{},"values":[1],"timestamps":[1]}{}`,
		`{"metric":{},"values":[1],"timestamps":[99999999999999999999]}`, `{"metric":{},"values":[1],"timestamps":[1]`, `{"metric":{},"values":[true],"timestamps":[1]}`,
	} {
		_, err := d.Line([]byte(bad), c)
		require.ErrorIs(t, err, model.ErrInvalid, "%q", bad)
		require.Zero(t, c.Len())
	}
	_, err = d.Line([]byte(`{"metric":{"a":"b"},"values":[1],"timestamps":[1]}`), c)
	require.NoError(t, err, "errors leave nothing behind")
}

// TestBareLine reads what version 1.79 writes of infinite values, which is no JSON; labels that look like it stay what they are.
func TestBareLine(t *testing.T) {
	c := &model.Columns{}
	ls, err := NewDecoder().Line([]byte(`{"metric":{"__name__":"inf","a":"[+Inf,NaN]\\","b":"\",Inf]"},"values":[+Inf,-Inf,Inf,1],"timestamps":[1,2,3,4]}`), c)
	require.NoError(t, err)
	require.Equal(t, labels.FromStrings("__name__", "inf", "a", `[+Inf,NaN]\`, "b", `",Inf]`), ls)
	require.Equal(t, []float64{math.Inf(1), math.Inf(-1), math.Inf(1), 1}, c.V)
	require.Equal(t, []int64{1, 2, 3, 4}, c.T)
	_, err = NewDecoder().Line([]byte(`{"metric":{"a":"b"},"values":[Infinite],"timestamps":[1]}`), c)
	require.ErrorIs(t, err, model.ErrInvalid)
}

// FuzzLine compares with encoding/json, which decides what is JSON at all.
func FuzzLine(f *testing.F) {
	f.Add([]byte(`{"metric":{"__name__":"up","job":"a"},"values":[1,null,"Infinity"],"timestamps":[1700000000000,2,3]}`))
	f.Add([]byte(`{"metric":{"a":""},"values":[1e5,-0.25],"timestamps":[1,2],"x":[{}]}`))
	f.Add([]byte(`{"metric":{"a":"\"[Inf"},"values":[+Inf,NaN,-Inf],"timestamps":[1,2,3]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := &model.Columns{}
		ls, err := NewDecoder().Line(b, c)
		if err != nil {
			require.ErrorIs(t, err, model.ErrInvalid)
			return
		}
		require.Len(t, c.V, len(c.T))
		var want struct {
			Values     []any             `json:"values"`
			Timestamps []json.Number     `json:"timestamps"`
			Metric     map[string]string `json:"metric"`
		}
		if json.Unmarshal(b, &want) != nil || strings.Count(string(b), `"values"`) != 1 || len(want.Values) != c.Len() {
			return // a key twice, in other letters, or a leniency
		}
		for i, v := range want.Values {
			if n, ok := v.(float64); ok {
				require.Equal(t, n, c.V[i])
			}
		}
		_ = ls.String()
	})
}
