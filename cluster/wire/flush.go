package wire

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/varvedb/varve/model"
)

const (
	// FlushPath is where a server flushes.
	FlushPath = "/api/v1/admin/tsdb/flush"
	// WriterHeader names the writer that answers a flush: an address may have a new owner.
	WriterHeader = "X-Varve-Writer"
)

// Flush has the writer at its address in the roster commit everything that it has acknowledged. An address that does not answer, or answers for another writer, is
// model.ErrUnavailable. It takes as long as ctx allows.
func Flush(ctx context.Context, hc *http.Client, writer, address string) error {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Errorf("address %.100q of writer %s is no host:port or URL: %w", address, writer, model.ErrInvalid)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.JoinPath(FlushPath).String(), http.NoBody)
	if err != nil {
		return fmt.Errorf("flush writer %s: %w", writer, err)
	}
	resp, err := hc.Do(req)
	if err != nil {
		return fmt.Errorf("flush writer %s: %w: %w", writer, err, model.ErrUnavailable)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		return fmt.Errorf("flush writer %s: %w", writer, statusError(resp))
	}
	if got := resp.Header.Get(WriterHeader); got != writer {
		return fmt.Errorf("flush writer %s: the address answers for writer %.64q now: %w", writer, got, model.ErrUnavailable)
	}
	return nil
}
