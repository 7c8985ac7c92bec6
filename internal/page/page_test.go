package page

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/model"
)

func noise(n int) []byte {
	b := make([]byte, n)
	rand.New(rand.NewSource(1)).Read(b)
	return b
}

func TestRoundTrip(t *testing.T) {
	e := NewEncoder()
	defer e.Close()
	for name, raw := range map[string][]byte{
		"empty": {}, "text": bytes.Repeat([]byte("abc"), 1000), "noise": noise(1000), "large": bytes.Repeat(noise(100), 5000),
	} {
		b := e.Append([]byte("before"), Series, raw)
		b = append(b, "behind"...)
		got, n, err := Decode(nil, b[6:], Series)
		require.NoError(t, err, name)
		require.Equal(t, len(b)-12, n, name)
		require.True(t, bytes.Equal(raw, got), name)
		require.LessOrEqual(t, n, HeadSize+len(raw), "%s: no page is longer than its content", name)
		require.Equal(t, b[6:6+n], e.Append(nil, Series, raw), "encoding is deterministic")
		_, _, err = Decode(nil, b[6:], Chunks)
		require.ErrorIs(t, err, model.ErrCorrupt, "other kind")
	}
}

func TestEveryFlippedBitIsFound(t *testing.T) {
	e := NewEncoder()
	defer e.Close()
	for _, raw := range [][]byte{bytes.Repeat([]byte("abc"), 30), noise(40)} {
		b := e.Append(nil, Chunks, raw)
		for i := range len(b) * 8 {
			b[i/8] ^= 1 << (i % 8)
			_, _, err := Decode(nil, b, Chunks)
			require.ErrorIs(t, err, model.ErrCorrupt, "bit %d", i)
			b[i/8] ^= 1 << (i % 8)
		}
		for i := range b {
			_, _, err := Decode(nil, b[:i], Chunks)
			require.ErrorIs(t, err, model.ErrCorrupt, "cut to %d", i)
		}
	}
}

// forge makes a page with a right checksum around any head.
func forge(kind, codec byte, rawLen uint32, payload []byte) []byte {
	b := []byte{kind, codec}
	b = binary.LittleEndian.AppendUint32(b, rawLen)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	b = append(b, 0, 0, 0, 0)
	b = append(b, payload...)
	binary.LittleEndian.PutUint32(b[10:], sum(b))
	return b
}

func TestHostileHeads(t *testing.T) {
	e := NewEncoder()
	defer e.Close()
	bomb := e.Append(nil, Chunks, make([]byte, 8<<20))[HeadSize:]
	for name, b := range map[string][]byte{
		"claims 4 GiB":      forge('C', 1, 1<<32-1, []byte("x")),
		"claims more":       forge('C', 1, 9<<20, bomb),
		"claims less":       forge('C', 1, 100, bomb),
		"stored, too short": forge('C', 0, 100, []byte("x")),
		"not zstd":          forge('C', 1, 100, noise(50)),
	} {
		_, _, err := Decode(nil, b, Chunks)
		require.ErrorIs(t, err, model.ErrCorrupt, name)
	}
	_, _, err := Decode(nil, forge('C', 2, 1, []byte("x")), Chunks)
	require.ErrorIs(t, err, model.ErrVersion)
}

func FuzzDecode(f *testing.F) {
	e := NewEncoder()
	f.Add([]byte("payload"), uint32(7), byte(0))
	f.Add(e.Append(nil, Chunks, make([]byte, 500))[HeadSize:], uint32(500), byte(1))
	f.Fuzz(func(t *testing.T, payload []byte, rawLen uint32, codec byte) {
		raw, _, err := Decode(nil, forge('C', codec, rawLen, payload), Chunks)
		if err == nil && uint32(len(raw)) != rawLen {
			t.Fatalf("%d bytes, head says %d", len(raw), rawLen)
		}
		if err != nil && !errors.Is(err, model.ErrCorrupt) && !errors.Is(err, model.ErrVersion) {
			t.Fatal(err)
		}
	})
}
