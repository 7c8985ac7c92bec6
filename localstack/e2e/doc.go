// Package e2e holds the end-to-end checks: the built binary as a real process,
// a real Prometheus and node exporter before it, emulated clouds behind it, and
// kill -9 in between. All of it stands behind the build tag e2e:
//
//	make e2e              # short: a minute of scraping, three kills
//	make e2e E2E=full     # ten minutes, ten kills, a minute of racing commits
//	make e2e RUN=Rubbish  # one of them
//
// TestPrometheus compares every label set, timestamp and value bit, staleness
// markers included, with what Prometheus itself stored; TestAdopt and TestZombie lose a
// machine, or wrongly think so; TestRacingCommits lets two processes commit to one partition;
// TestLifecycle merges while it is raced, on each kind of bucket;
// TestColdReads counts from outside what queries of fresh processes ask of the store;
// TestLambda has the Lambda binary answer beside the server, cold and warm; TestLocalstack starts and ends what make localstack does;
// TestRubbish sends what nobody should send; TestFlood sends more than a small budget can take;
// TestBackfillPrometheus, -Late, -Victoria and -Influx take over what real servers hold, by each way there is, killed or not, and compare it with what those say;
// TestBucketOutage delays and refuses all calls of the store until the disk budget is used up; TestSyncBeforeAnswer watches by strace that the log is synced before a write is answered.
//
// The checks choose free ports, keep all files in temporary folders, and end
// the processes that they started. Where they run as root they install Debian's prometheus packages if
// those are missing (InfluxDB is unpacked below .tools and not installed); what a machine cannot provide is skipped by name. Random choices come from a
// seed that is printed; E2E_SEED replays it.
package e2e
