package varve_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve"
	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/model"
)

// A program keeps its metrics in a bucket (here in memory), appends, and asks.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "varve-example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	db, err := varve.Open(ctx, &varve.Options{
		Bucket:  "mem://",
		Openers: map[string]blob.Opener{"mem": mem.Open},
		DataDir: dir,
	})
	if err != nil {
		log.Fatal(err)
	}
	runCtx, stop := context.WithCancel(ctx)
	running := make(chan error, 1)
	go func() { running <- db.Run(runCtx) }()

	// Append acknowledges when the samples are on disk.
	start := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	s := varve.Series{Labels: labels.FromStrings("__name__", "layers_total", "site", "lake")}
	for i := range 5 {
		s.Samples = append(s.Samples, model.Sample{T: start.Add(time.Duration(i) * time.Minute).UnixMilli(), V: float64(10 * i)})
	}
	if _, err := db.AppendSeries(ctx, "default", s); err != nil {
		log.Fatal(err)
	}

	// Queries see them at once; a flush moves them into the bucket and changes no answer.
	for range 2 {
		r, err := db.Query(ctx, "default", "sum by (site) (increase(layers_total[4m]))", start.Add(4*time.Minute))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(r)
		if err := db.Flush(ctx); err != nil {
			log.Fatal(err)
		}
	}

	stop()
	if err := <-running; err != nil {
		log.Fatal(err)
	}
	if err := db.Close(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// {site="lake"} => 40 @[1767269040000]
	// {site="lake"} => 40 @[1767269040000]
}
