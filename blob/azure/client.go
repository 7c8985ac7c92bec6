package azure

import (
	"errors"
	"fmt"
	"net/http"
	"os"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"gocloud.dev/blob/azureblob"

	"github.com/varvedb/varve/model"
)

// newClient returns a client for the container with the credentials of the environment. It is made here and not by
// azureblob, whose client retries, keeps few idle connections, and remembers the environment for the whole process.
func newClient(where azureblob.ServiceURLOptions, name string, hc *http.Client) (*container.Client, error) {
	opts := &container.ClientOptions{ClientOptions: azcore.ClientOptions{
		Transport: hc,
		Retry:     policy.RetryOptions{MaxRetries: -1}, // blob.Bucket retries

		PerCallPolicies: []policy.Policy{notModified{}},
	}}
	if where.AccountName == "" {
		where.AccountName = os.Getenv("AZURE_STORAGE_ACCOUNT")
	}
	if where.AccountName == "" {
		return fromConnectionString(name, opts)
	}
	key, sas := os.Getenv("AZURE_STORAGE_KEY"), os.Getenv("AZURE_STORAGE_SAS_TOKEN")
	service, err := azureblob.NewServiceURL(&where)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", model.ErrInvalid, err)
	}
	at := string(service) + "/" + name
	switch {
	case key != "":
		cred, err := container.NewSharedKeyCredential(where.AccountName, key)
		if err != nil {
			return nil, errors.New("AZURE_STORAGE_KEY is not a key") // the cause quotes it
		}
		return container.NewClientWithSharedKeyCredential(at, cred, opts)
	case sas != "":
		return container.NewClientWithNoCredential(at+"?"+sas, opts)
	}
	cred, err := azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{
		ClientOptions: azcore.ClientOptions{Transport: hc},
	})
	if err != nil {
		return nil, fmt.Errorf("azure credentials: %w", err)
	}
	return container.NewClient(at, cred, opts)
}

func fromConnectionString(name string, opts *container.ClientOptions) (*container.Client, error) {
	for _, env := range []string{"AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGEBLOB_CONNECTIONSTRING"} {
		s := os.Getenv(env)
		if s == "" {
			continue
		}
		c, err := container.NewClientFromConnectionString(s, name, opts)
		if err != nil {
			return nil, fmt.Errorf("%s is not a connection string", env) // the cause quotes it
		}
		return c, nil
	}
	return nil, fmt.Errorf("no storage account: give storage_account= or AZURE_STORAGE_ACCOUNT: %w", model.ErrInvalid)
}

// notModified makes a 304 the error that it is with the other providers. The SDK takes it for a
// success without headers, and the portable reader of gocloud.dev v0.47 then panics.
type notModified struct{}

// Do implements policy.Policy.
func (notModified) Do(req *policy.Request) (*http.Response, error) {
	resp, err := req.Next()
	if err == nil && resp.StatusCode == http.StatusNotModified {
		return nil, runtime.NewResponseError(resp)
	}
	return resp, err
}
