package catalog

// Known makes a view of readings that a caller has kept, only good for being given to [Store.View] as prev: what is known is asked for
// conditionally. The partitions are ascending by day, none is Missing; root may be nil.
func Known(tenant string, root *Root, partitions []*Partition) *View {
	return &View{tenant: tenant, Root: root, Partitions: partitions}
}
