package bucketed

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/migrate/prom"
)

// internal reports whether an external label is for the machinery of the source (__org_id__, __compactor_shard_id__) and none of its series.
func internal(name string) bool { return strings.HasPrefix(name, "__") }

// rename gives series of a block their external labels, which win over labels of the series, as they do in Thanos, and takes the replica labels away. nil if that changes nothing.
func (s *Source) rename(b *listed) prom.Rename {
	external := map[string]string{}
	if !s.opts.NoExternalLabels {
		for name, value := range b.info.labels {
			if !internal(name) {
				external[name] = value
			}
		}
	}
	if len(external) == 0 && len(s.opts.ReplicaLabels) == 0 {
		return nil
	}
	names := slices.Sorted(maps.Keys(external))
	builders := sync.Pool{New: func() any { return labels.NewBuilder(labels.EmptyLabels()) }}
	return func(ls labels.Labels) (seen, taken labels.Labels, replica string) {
		builder := builders.Get().(*labels.Builder)
		defer builders.Put(builder)
		seen = ls
		if len(names) > 0 {
			builder.Reset(ls)
			for _, name := range names {
				builder.Set(name, external[name])
			}
			seen = builder.Labels()
		}
		if !slices.ContainsFunc(s.opts.ReplicaLabels, seen.Has) {
			return seen, seen, replicaOf(seen, s.opts.ReplicaLabels)
		}
		builder.Reset(seen)
		return seen, builder.Del(s.opts.ReplicaLabels...).Labels(), replicaOf(seen, s.opts.ReplicaLabels)
	}
}

// replicaOf is the name of a copy: the values of the replica labels.
func replicaOf(ls labels.Labels, names []string) string {
	if len(names) == 1 {
		return ls.Get(names[0])
	}
	values := make([]string, len(names))
	for i, name := range names {
		values[i] = ls.Get(name)
	}
	return strings.Join(values, "\xff")
}
