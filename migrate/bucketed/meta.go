package bucketed

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/prometheus/prometheus/tsdb"

	"github.com/varvedb/varve/migrate/prom"
	"github.com/varvedb/varve/model"
)

// id is a ULID, of a block or of one that it was made of.
type id = [16]byte

// info is what a meta.json says that is needed of it.
type info struct {
	tsdb.BlockMeta
	// labels are the external ones, resolutionMs is 0 for raw samples.
	labels       map[string]string
	resolutionMs int64
	// sources are the blocks that came of no others and that this one was made of; at least itself.
	sources []id
	// files are data files and their sizes, as far as it tells; a size of 0 is not known.
	files map[string]int64
}

// thanosMeta is meta.json as Thanos and its kin write it.
type thanosMeta struct {
	tsdb.BlockMeta
	Thanos struct {
		Version    int               `json:"version"`
		Labels     map[string]string `json:"labels"`
		Downsample struct {
			Resolution int64 `json:"resolution"`
		} `json:"downsample"`
		Files []struct {
			Path string `json:"rel_path"`
			Size int64  `json:"size_bytes"`
		} `json:"files"`
		SegmentFiles []string `json:"segment_files"`
	} `json:"thanos"`
}

// What a meta.json may have at most. Compacted blocks name each of their sources and files, hundreds of them.
const maxMetaBytes = 32 << 20

// ulids are the names of blocks.
var ulids = regexp.MustCompile(`^[0-7][0-9A-HJKMNP-TV-Z]{25}$`)

// dataFile matches the files of a block that are fetched.
var dataFile = regexp.MustCompile(`^(index|tombstones|chunks/[0-9]{6,9})$`)

// parseMeta reads the meta.json of the block that the directory is named after.
func parseMeta(name string, b []byte) (*info, error) {
	var m thanosMeta
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("meta.json: %w", err)
	}
	if m.Version != 1 || m.Thanos.Version > 1 {
		return nil, fmt.Errorf("meta.json is of version %d, %d: %w", m.Version, m.Thanos.Version, model.ErrVersion)
	}
	if m.ULID.String() != name {
		return nil, fmt.Errorf("meta.json is that of block %s: %w", m.ULID, model.ErrInvalid)
	}
	if why := prom.BadRange(&m.BlockMeta); why != "" {
		return nil, fmt.Errorf("%s: %w", why, model.ErrInvalid)
	}
	if m.Thanos.Downsample.Resolution < 0 {
		return nil, fmt.Errorf("its resolution is %d ms: %w", m.Thanos.Downsample.Resolution, model.ErrInvalid)
	}
	i := &info{BlockMeta: m.BlockMeta, labels: m.Thanos.Labels, resolutionMs: m.Thanos.Downsample.Resolution, files: map[string]int64{}}
	for _, s := range m.Compaction.Sources {
		i.sources = append(i.sources, id(s))
	}
	if len(i.sources) == 0 {
		i.sources = []id{id(m.ULID)}
	}
	for _, f := range m.Thanos.Files {
		if dataFile.MatchString(f.Path) {
			i.files[f.Path] = f.Size
		}
	}
	for _, f := range m.Thanos.SegmentFiles {
		if f = "chunks/" + strings.TrimPrefix(f, "chunks/"); dataFile.MatchString(f) {
			i.files[f] = max(0, i.files[f])
		}
	}
	i.Compaction.Parents, i.Compaction.Sources = nil, nil // they are many, and not needed again
	return i, nil
}
