package bucketed

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/prom"
	"github.com/varvedb/varve/model"
)

// choose says which blocks are read; what is left out goes to skips, unless its samples are in what is read.
//
// Blocks whose files are not all there are out first, so that none of them stands for others. Then a block is out if all blocks that it was made of are among those that another one
// of the same labels and shard was made of: it was compacted and is not yet deleted, which is how Thanos sees it too. One that is marked for deletion is out; it is named if
// the others do not hold all that it was made of. Downsampled blocks are out; those whose raw samples are among the others are named together.
func (s *Source) choose(all []*listed, r model.TimeRange) ([]*listed, error) {
	var raw, marked, coarse []*listed
	for _, b := range all {
		asked := prom.RangeOf(&b.info.BlockMeta).Overlaps(r)
		switch {
		case b.lack != "" && asked:
			if err := s.leaveOut(b, "block", b.lack); err != nil {
				return nil, err
			}
		case b.lack != "":
		case b.marked && asked:
			marked = append(marked, b)
		case b.marked:
		case b.info.resolutionMs == 0:
			raw = append(raw, b)
		case asked:
			coarse = append(coarse, b)
		}
	}
	raw = s.dropCovered(raw)
	if err := s.leaveOutMarked(marked, raw); err != nil {
		return nil, err
	}
	if err := s.leaveOutCoarse(coarse, raw); err != nil {
		return nil, err
	}
	raw = slices.DeleteFunc(raw, func(b *listed) bool { return !prom.RangeOf(&b.info.BlockMeta).Overlaps(r) })
	slices.SortFunc(raw, func(a, b *listed) int {
		return cmp.Or(cmp.Compare(a.info.MinTime, b.info.MinTime), strings.Compare(a.name, b.name))
	})
	return raw, nil
}

func (s *Source) leaveOut(b *listed, kind, why string) error {
	return s.skips.Add(migrate.Skip{Kind: kind, Where: s.where(b.name), Samples: int64(b.info.Stats.NumSamples), Reason: why})
}

// incomplete says which file of the block is missing or has another size than its meta.json says, or "".
func incomplete(b *listed) string {
	if _, ok := b.files["index"]; !ok {
		return "it has no index: it was not uploaded to its end, or is being deleted"
	}
	for _, file := range slices.Sorted(maps.Keys(b.info.files)) {
		want := b.info.files[file]
		switch have, ok := b.files[file]; {
		case !ok:
			return fmt.Sprintf("its file %s, of which its meta.json tells, is missing", file)
		case want > 0 && have != want:
			return fmt.Sprintf("its file %s has %d bytes, and %d by its meta.json", file, have, want)
		}
	}
	segments := 0
	for file := range b.files {
		if strings.HasPrefix(file, "chunks/") {
			segments++
		}
	}
	for n := 1; n <= segments; n++ { // they are numbered from 1
		if file := fmt.Sprintf("chunks/%06d", n); b.files[file] == 0 {
			return fmt.Sprintf("its file %s is missing, although there are %d of them", file, segments)
		}
	}
	if segments == 0 && b.info.Stats.NumSamples > 0 {
		return "it has no chunks: it was not uploaded to its end, or is being deleted"
	}
	return ""
}

// shardLabel tells blocks of Mimir apart that were made of the same ones, each with some of their series.
const shardLabel = "__compactor_shard_id__"

// group is what blocks have in common of which one may replace others: the labels that their series get, and the shard.
func (s *Source) group(b *listed, withShard bool) string {
	ls := map[string]string{}
	for name, value := range b.info.labels {
		if !internal(name) && !slices.Contains(s.opts.ReplicaLabels, name) || withShard && name == shardLabel {
			ls[name] = value
		}
	}
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(ls)) {
		fmt.Fprintf(&text, "%q=%q,", name, ls[name])
	}
	return text.String()
}

// dropCovered leaves those out that were compacted into another.
func (s *Source) dropCovered(raw []*listed) []*listed {
	groups := map[string][]*listed{}
	for _, b := range raw {
		key := s.group(b, true)
		groups[key] = append(groups[key], b)
	}
	var kept []*listed
	for _, blocks := range groups {
		// Those of more sources first; of two of the same sources the one that was made first stays.
		slices.SortFunc(blocks, func(a, b *listed) int {
			return cmp.Or(len(b.info.sources)-len(a.info.sources), strings.Compare(a.name, b.name))
		})
		var covering []map[id]bool
		for _, b := range blocks {
			if slices.ContainsFunc(covering, func(of map[id]bool) bool { return all(b.info.sources, of) }) {
				continue
			}
			of := map[id]bool{}
			addAll(of, b.info.sources)
			covering, kept = append(covering, of), append(kept, b)
		}
	}
	return kept
}

func all(ids []id, of map[id]bool) bool {
	return !slices.ContainsFunc(ids, func(i id) bool { return !of[i] })
}

func addAll(of map[id]bool, ids []id) {
	for _, i := range ids {
		of[i] = true
	}
}

// sourcesOf are the blocks that the ones of each group were made of, shards taken together.
func (s *Source) sourcesOf(blocks []*listed) map[string]map[id]bool {
	out := map[string]map[id]bool{}
	for _, b := range blocks {
		key := s.group(b, false)
		if out[key] == nil {
			out[key] = map[id]bool{}
		}
		addAll(out[key], b.info.sources)
	}
	return out
}

func (s *Source) leaveOutMarked(marked, raw []*listed) error {
	sources := s.sourcesOf(raw)
	for _, b := range marked {
		if b.info.resolutionMs > 0 || all(b.info.sources, sources[s.group(b, false)]) {
			continue
		}
		if err := s.leaveOut(b, "block", "it is marked for deletion, and no other block was made of it"); err != nil {
			return err
		}
	}
	return nil
}

func (s *Source) leaveOutCoarse(coarse, raw []*listed) error {
	sources := s.sourcesOf(raw)
	covered := map[int64]*migrate.Skip{}
	for _, b := range coarse {
		step := time.Duration(b.info.resolutionMs) * time.Millisecond
		if !all(b.info.sources, sources[s.group(b, false)]) {
			from, to := time.UnixMilli(b.info.MinTime).UTC(), time.UnixMilli(b.info.MaxTime).UTC()
			err := s.leaveOut(b, "downsampled", fmt.Sprintf("it is downsampled to %s, and its raw samples, from %s to %s, are not all there",
				step, from.Format(time.RFC3339), to.Format(time.RFC3339)))
			if err != nil {
				return err
			}
			continue
		}
		c := covered[b.info.resolutionMs]
		if c == nil {
			c = &migrate.Skip{Kind: "downsampled", Where: s.opts.Name, Redundant: true}
			covered[b.info.resolutionMs] = c
		}
		c.Count++
		c.Samples += int64(b.info.Stats.NumSamples)
		c.Reason = fmt.Sprintf("%d blocks are downsampled to %s; their raw samples are taken", c.Count, step)
	}
	for _, step := range slices.Sorted(maps.Keys(covered)) {
		if err := s.skips.Add(*covered[step]); err != nil {
			return err
		}
	}
	return nil
}
