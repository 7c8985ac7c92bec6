package ingester

import "github.com/varvedb/varve/memtable"

// minNames is the number of series below which names are not worth a fresh start: they take 2 MiB.
const minNames = 1 << 13

// freshNames drops the names that generations share, before a new one begins, when more than half of the series in them are not among
// those of the generation that ends, or when they take half of the memory: then the next generation learns anew which series there are.
// What older tables refer to stays until they are built.
func (i *Ingester) freshNames(ended *memtable.Table) {
	n, s := i.names.Load(), ended.Stats()
	if n.Bytes() > i.cfg.MemoryBytes/2 || n.Len() > minNames && int64(n.Len()) > 2*(s.Series+s.Reserved) {
		i.names.Store(memtable.NewNames())
	}
}

// large reports whether a generation has to end before its time: because of its own size, or because with the names it takes so
// much of the memory that the next one needs the rest while this one becomes blocks.
func (i *Ingester) large(t *memtable.Table) bool {
	own := t.Bytes()
	return own >= i.cfg.GenerationBytes || own+t.Names().Bytes() >= i.cfg.MemoryBytes/3*2
}
