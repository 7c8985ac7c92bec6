// Command varve-lambda is the querier that runs as an AWS Lambda (runtime provided.al2023, where the program is called
// bootstrap). It is configured by the environment alone: see docs/lambda.md.
package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"

	runtime "github.com/aws/aws-lambda-go/lambda"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/s3"
	"github.com/varvedb/varve/query/lambda"
)

func main() {
	o, err := readOptions(os.Environ())
	if err != nil {
		fail(err)
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: o.level}))
	o.setCollector()
	f, err := lambda.Open(context.Background(), &o.Config, lambda.Components{Openers: map[string]blob.Opener{"s3": s3.Open}, Logger: log})
	if err != nil {
		fail(err)
	}
	// It ends with the process.
	runtime.Start(func(ctx context.Context, event json.RawMessage) (*lambda.Response, error) {
		return f.Invoke(ctx, event)
	})
}

// fail tells the log and the runtime why the function cannot start.
func fail(err error) {
	slog.New(slog.NewJSONHandler(os.Stderr, nil)).Error("varve-lambda cannot start", "err", err)
	reportInit(os.Getenv("AWS_LAMBDA_RUNTIME_API"), err)
	os.Exit(1)
}
