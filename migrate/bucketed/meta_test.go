package bucketed

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

const someMeta = `{"ulid":"01KCBZ0000000000000000000A","minTime":1,"maxTime":2,"stats":{"numSamples":3,"numSeries":1,"numChunks":1},
"compaction":{"level":2,"sources":["01KCBZ0000000000000000000B","01KCBZ0000000000000000000C"],"parents":[{"ulid":"01KCBZ0000000000000000000B","minTime":1,"maxTime":2}]},"version":1,
"thanos":{"version":1,"labels":{"cluster":"c"},"downsample":{"resolution":300000},"source":"compactor","segment_files":["000001"],
"files":[{"rel_path":"chunks/000001","size_bytes":7},{"rel_path":"../../etc/passwd","size_bytes":9},{"rel_path":"index","size_bytes":8},{"rel_path":"meta.json"}],"extensions":{"x":1}}}`

func TestParseMeta(t *testing.T) {
	i, err := parseMeta("01KCBZ0000000000000000000A", []byte(someMeta))
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"chunks/000001": 7, "index": 8}, i.files)
	require.Equal(t, int64(300000), i.resolutionMs)
	require.Len(t, i.sources, 2)
	require.Equal(t, "c", i.labels["cluster"])
	for _, bad := range []string{
		``, `null`, `{}`, `[]`, `{"version":1}`, `{"version":2,"ulid":"01KCBZ0000000000000000000A"}`, `{"version":1,"ulid":"01KCBZ0000000000000000000B"}`,
		`{"version":1,"ulid":"01KCBZ0000000000000000000A","thanos":{"version":2}}`, `{"version":1,"ulid":"01KCBZ0000000000000000000A","minTime":5,"maxTime":1}`,
		`{"version":1,"ulid":"01KCBZ0000000000000000000A","maxTime":9223372036854775807}`, `{"version":1,"ulid":"01KCBZ0000000000000000000A","thanos":{"downsample":{"resolution":-1}}}`,
	} {
		_, err := parseMeta("01KCBZ0000000000000000000A", []byte(bad))
		require.Error(t, err, bad)
	}
}

func FuzzParseMeta(f *testing.F) {
	f.Add([]byte(someMeta))
	f.Fuzz(func(t *testing.T, b []byte) {
		var m struct {
			ULID string `json:"ulid"`
		}
		_ = json.Unmarshal(b, &m)
		i, err := parseMeta(m.ULID, b)
		if err != nil {
			return
		}
		require.NotEmpty(t, i.sources)
		for file := range i.files {
			require.Regexp(t, dataFile, file)
		}
	})
}
