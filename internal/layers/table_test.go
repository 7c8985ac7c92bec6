package layers

// module is the path of the Go module that the table describes.
const module = "github.com/varvedb/varve"

// A room is a folder and all folders below it that are not rooms themselves.
// The root of the module is the room ".".
type room string

// lines are the layers of the house, lowest first. A room imports only rooms on lower lines.
// blob is the lowest of its line, so it has one to itself.
//
// cmd/varve-lambda has a test of its own beside: its whole import closure stays free of ingester and server and holds one blob driver.
func lines() [][]room {
	return [][]room{
		{"model", "web", "internal/vfs", "internal/planted", "internal/page", "internal/decimal"},
		{"blob", "internal/page"},
		{"blob/internal/cdk"},
		{
			"tenant", "cache", "index", "blocks/chunk", "wal", "protocol/influx", "protocol/remotewrite", "protocol/text", "cluster/wire",
			"blob/s3", "blob/gcs", "blob/azure", "blob/dir", "blob/mem", "blob/blobtest", "blob/faultblob", "blob/countblob",
		},
		{"blocks/native", "blocks/parquet", "memtable", "rollup"},
		{"blocks"},
		{"catalog"},
		{"query"},
		{"ingester", "api", "lifecycle", "repair", "migrate"},
		{"server", "query/lambda", "."},
		{"cmd/varve", "cmd/varve-lambda"},
	}
}

// testRooms hold nothing that ships. They may import any room but cmd and
// root; only tests and other test rooms may import them.
func testRooms() []room {
	return []room{"internal/layers", "internal/sim", "internal/vfs/memfs", "internal/acceptance", "internal/differential", "localstack", "blob/blobtest", "blob/faultblob", "blob/countblob", "blocks/blockstest", "migrate/migratetest"}
}

// workers see each other's work through the catalog and never call each other.
func workers() []room { return []room{"ingester", "query", "lifecycle"} }

// badNames are no room's noun: a helper lives beside its caller, and one with three callers is a concept.
func badNames() []string {
	return []string{"util", "utils", "common", "helpers", "helper", "misc", "types"}
}

// A fence keeps outside packages within some rooms.
type fence struct {
	// Prefix of the import paths: the path itself and all below it.
	prefix string
	rooms  []room
	why    string
}

// fences apply to files that are no tests. Test rooms are free.
func fences() []fence {
	cmd := []room{"cmd/varve"}
	return []fence{
		{"flag", cmd, "no library room knows flags"},
		{"github.com/spf13", cmd, "no library room knows flags"},
		{"github.com/knadh/koanf", cmd, "no library room knows configuration files or environment variables"},
		{"go.yaml.in", cmd, "no library room knows YAML"},
		{"github.com/schollz/progressbar", cmd, "progress is shown by commands"},
		{"gocloud.dev", []room{"blob/s3", "blob/gcs", "blob/azure", "blob/internal/cdk"}, "buckets are reached through blob"},
		{"github.com/aws/aws-sdk-go-v2", []room{"blob/s3"}, "one backend, one room"},
		{"github.com/aws/smithy-go", []room{"blob/s3"}, "one backend, one room"},
		{"github.com/aws/aws-lambda-go", []room{"cmd/varve-lambda"}, "the runtime is the program's; query/lambda knows events and answers"},
		{"cloud.google.com/go", []room{"blob/gcs"}, "one backend, one room"},
		{"github.com/Azure", []room{"blob/azure"}, "one backend, one room"},
		{"github.com/prometheus/prometheus/tsdb", []room{"query", "api", "migrate"}, "to read other people's and what Prometheus' interfaces ask for apart, no second storage engine"},
		{"github.com/prometheus/prometheus/web", []room{"api"}, "the HTTP API is built in one room"},
		{"testing", nil, "product code does not test"},
		{"unsafe", []room{"memtable", "protocol/remotewrite", "index", "wal", "blocks/chunk", "cache"}, "argued for room by room"},
		{"math/rand", nil, "randomness comes from outside; math/rand/v2 takes a seed"},
	}
}
