// Package influx decodes InfluxDB's line protocol into batches: bodies of writes, and files that `influx_inspect export` and `influxd inspect export-lp` have written.
//
// A [Reader] takes a body of any length in chunks of whole lines and makes a batch of each, so memory is bounded by a chunk, whatever is sent. Lines that
// do not parse are named and left out; the others count. Lines are read by InfluxData's own decoder; what a line is (a string may hold line ends)
// is found out here, so that one bad line takes no other with it and no line is longer than a chunk.
//
// # What becomes of a line
//
//	weather,town=Oulu temperature=-3.5,humid=true,note="snow" 1700000000000000000
//
// becomes samples of weather_temperature{town="Oulu",db="home"} and weather_humid{town="Oulu",db="home"}, 1 for true, at the millisecond in which the time lies. Text has no place among samples: it is
// left out and counted by field ([Reader.Texts]). Integers beyond 2⁵³ lose their last digits, as float64 does. [Mapping] has the choices; they, and what they are
// at first, are those of VictoriaMetrics, but for the retention policy, which would else be lost.
//
// Comments say in exports which database and retention policy the lines behind them are of; what stands between "# DDL" and "# DML" is for InfluxDB.
//
// A Reader is for one goroutine. It opens no sockets and stores nothing.
package influx
