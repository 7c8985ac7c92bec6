package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// reportInit tells the Runtime API at the address, "" for none, why the function cannot start, so that who invokes it by hand is told
// too. That the log has it already is enough if this fails.
func reportInit(address string, reason error) {
	if address == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	body, _ := json.Marshal(map[string]string{"errorType": "Varve.Configuration", "errorMessage": reason.Error()}) // two strings: never fails
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/2018-06-01/runtime/init/error", bytes.NewReader(body))
	if err != nil {
		return
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Lambda-Runtime-Function-Error-Type", "Varve.Configuration")
	if resp, err := http.DefaultClient.Do(req); err == nil {
		_ = resp.Body.Close() // its answer changes nothing
	}
}
