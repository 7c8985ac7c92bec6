//go:build e2e

package e2e

import (
	"path/filepath"
	"testing"

	"github.com/varvedb/varve/localstack/process"
)

// A nodeExporter can go away and come back, which ends all its series and begins them again.
type nodeExporter struct {
	t    *testing.T
	addr string
	p    *process.Process
}

func startNodeExporter(t *testing.T) *nodeExporter {
	t.Helper()
	addr, err := process.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	n := &nodeExporter{t: t, addr: addr}
	n.start()
	t.Cleanup(n.kill)
	return n
}

func (n *nodeExporter) start() {
	n.t.Helper()
	var err error
	n.p, err = process.Start(n.t.Context(), "prometheus-node-exporter", &process.Options{
		Args: []string{"--web.listen-address=" + n.addr},
		Log:  filepath.Join(n.t.TempDir(), "node-exporter.log"),
	})
	if err != nil {
		n.t.Fatal(err)
	}
	if err := n.p.WaitReady(n.t.Context(), "http://"+n.addr+"/"); err != nil {
		n.t.Fatal(err)
	}
}

func (n *nodeExporter) kill() {
	n.t.Helper()
	if err := n.p.Kill(); err != nil {
		n.t.Error(err)
	}
}
