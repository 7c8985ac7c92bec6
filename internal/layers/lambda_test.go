package layers

import (
	"os/exec"
	"strings"
	"testing"
)

// TestLambdaClosure looks at everything that is linked into the Lambda binary, by whatever way it comes in.
func TestLambdaClosure(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "./cmd/varve-lambda")
	cmd.Dir = root(t)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("list the packages of the Lambda binary: %v", err)
	}
	linked := map[string]bool{}
	for _, pkg := range strings.Fields(string(out)) {
		linked[pkg] = true
	}
	for _, want := range []string{module + "/query/lambda", module + "/api", module + "/blob/s3", "gocloud.dev/blob/s3blob"} {
		if !linked[want] {
			t.Errorf("%s is not linked, so this test looks at the wrong thing", want)
		}
	}
	for _, no := range []string{
		module, module + "/ingester", module + "/server", module + "/lifecycle", module + "/memtable",
		module + "/blob/gcs", module + "/blob/azure", module + "/blob/dir", module + "/blob/mem",
		"gocloud.dev/blob/gcsblob", "gocloud.dev/blob/azureblob", "gocloud.dev/blob/fileblob", "cloud.google.com/go/storage",
		"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob",
	} {
		if linked[no] {
			t.Errorf("%s is linked into the Lambda binary", no)
		}
	}
}
