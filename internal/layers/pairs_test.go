package layers

// arrows lists, for each room, the rooms that it imports. Test rooms and cmd, which wires everything, are left out.
func arrows() map[room][]room {
	return map[room][]room{
		".":                    {"blob", "blocks", "cache", "catalog", "cluster/wire", "ingester", "internal/vfs", "lifecycle", "model", "protocol/remotewrite", "query", "tenant"},
		"api":                  {"blocks", "catalog", "model", "query", "tenant"},
		"blob":                 {"model"},
		"blob/azure":           {"blob", "blob/internal/cdk", "model"},
		"blob/dir":             {"blob", "internal/vfs", "model"},
		"blob/gcs":             {"blob", "blob/internal/cdk", "model"},
		"blob/internal/cdk":    {"blob", "model"},
		"blob/mem":             {"blob", "model"},
		"blob/s3":              {"blob", "blob/internal/cdk", "model"},
		"blocks":               {"blob", "blocks/chunk", "blocks/native", "blocks/parquet", "cache", "index", "internal/page", "internal/planted", "model", "tenant"},
		"blocks/chunk":         {"internal/decimal", "model"},
		"blocks/native":        {"blocks/chunk", "index", "internal/page", "model"},
		"blocks/parquet":       {"index", "internal/decimal", "internal/page", "model"},
		"cache":                {"blob", "internal/vfs", "model"},
		"catalog":              {"blob", "blocks", "internal/planted", "model", "tenant"},
		"cluster/wire":         {"model"},
		"index":                {"internal/page", "model"},
		"ingester":             {"blob", "blocks", "catalog", "internal/planted", "internal/vfs", "memtable", "model", "tenant", "wal"},
		"internal/page":        {"model"},
		"lifecycle":            {"blob", "blocks", "catalog", "index", "internal/planted", "model", "rollup", "wal"},
		"memtable":             {"model"},
		"migrate":              {"blob", "blocks", "catalog", "index", "internal/vfs", "model", "protocol/influx", "protocol/text", "tenant", "wal"},
		"protocol/influx":      {"model"},
		"protocol/remotewrite": {"model"},
		"protocol/text":        {"model"},
		"query/lambda":         {"api", "blob", "blocks", "cache", "catalog", "model", "query", "tenant"},
		"query":                {"blob", "blocks", "cache", "catalog", "model", "tenant", "wal"},
		"rollup":               {"model"},
		"repair":               {"blob", "blocks", "catalog", "model", "tenant", "wal"},
		"server":               {"cluster/wire", "model", "protocol/remotewrite", "protocol/text", "tenant", "web"},
		"tenant":               {"model"},
		"wal":                  {"internal/planted", "internal/vfs", "model"},
	}
}

func pairs() []pair {
	var out []pair
	for from, tos := range arrows() {
		for _, to := range tos {
			out = append(out, pair{from, to})
		}
	}
	return out
}
