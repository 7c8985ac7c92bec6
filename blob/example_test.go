package blob_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/model"
)

// Compare-and-swap: read with the version, change, write if nobody else has, and on a conflict look again.
func Example() {
	ctx := context.Background()
	b, err := blob.Open(ctx, "mem://?prefix=team/a", map[string]blob.Opener{"mem": mem.Open}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()

	v, err := b.PutIfAbsent(ctx, "t/default/root", []byte("days: 1"))
	fmt.Println("created:", v != "", err)
	_, err = b.PutIfAbsent(ctx, "t/default/root", []byte("days: 9"))
	fmt.Println("created again:", errors.Is(err, model.ErrConflict))

	_, err = b.PutIf(ctx, "t/default/root", []byte("days: 2"), v)
	fmt.Println("swapped:", err)
	_, err = b.PutIf(ctx, "t/default/root", []byte("days: 3"), v)
	fmt.Println(err)
	// Output:
	// created: true <nil>
	// created again: true
	// swapped: <nil>
	// put_if t/default/root: conflict
}
