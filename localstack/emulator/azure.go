package emulator

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/varvedb/varve/localstack/process"
)

// azurite is Azurite's blob service in memory.
type azurite struct{}

// The account that Azurite documents for development; it opens nothing else.
const (
	azuriteVersion = "3.35.0"
	azuriteAccount = "devstoreaccount1"
	azuriteKey     = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

func (azurite) command(ctx context.Context, addr, dir string) (string, process.Options, error) {
	pkg, err := npmTool(ctx, "azurite", azuriteVersion)
	if err != nil {
		return "", process.Options{}, err
	}
	node, err := exec.LookPath("node")
	if err != nil {
		return "", process.Options{}, fmt.Errorf("azurite needs node, which is not installed: %w", ErrNoTool)
	}
	return node, process.Options{
		Args: []string{
			filepath.Join(pkg, "dist", "src", "blob", "main.js"), "--inMemoryPersistence", "--silent", "--skipApiVersionCheck", "--disableTelemetry",
			"--blobHost", "127.0.0.1", "--blobPort", port(addr),
		},
		Dir: dir,
	}, nil
}

func (azurite) env() []string {
	return []string{
		"AZURE_STORAGE_ACCOUNT=" + azuriteAccount, "AZURE_STORAGE_KEY=" + azuriteKey,
		"AZURE_STORAGE_SAS_TOKEN=", "AZURE_STORAGE_CONNECTION_STRING=",
	}
}

// create signs the request by hand, which is less than another client.
func (azurite) create(ctx context.Context, addr, _, name string) error {
	const apiVersion = "2021-12-02"
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+addr+"/"+azuriteAccount+"/"+name+"?restype=container", http.NoBody)
	if err != nil {
		return err
	}
	date := time.Now().UTC().Format(http.TimeFormat)
	req.Header.Set("X-Ms-Date", date)
	req.Header.Set("X-Ms-Version", apiVersion)
	// Method, eleven headers that are all empty, the x-ms- headers, and the resource, which names the account twice on an emulator.
	text := "PUT" + strings.Repeat("\n", 12) + "x-ms-date:" + date + "\nx-ms-version:" + apiVersion + "\n" +
		"/" + azuriteAccount + "/" + azuriteAccount + "/" + name + "\nrestype:container"
	key, err := base64.StdEncoding.DecodeString(azuriteKey)
	if err != nil {
		return err
	}
	mac := hmac.New(sha256.New, key)
	_, _ = mac.Write([]byte(text)) // never fails
	req.Header.Set("Authorization", "SharedKey "+azuriteAccount+":"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return do(req, http.StatusCreated)
}

func (azurite) url(addr, name string) string {
	return "azblob://" + name + "?protocol=http&localemu=true&domain=" + addr
}
