package lambdaruntime

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"
)

// event is the request in payload format 2.0.
func (f *Front) event(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, MaxPayload))
	if err != nil {
		return nil, err
	}
	domain, stage, path := "localstack.lambda-url.us-east-1.on.aws", "$default", r.URL.EscapedPath()
	if f.Gateway {
		domain, path = "localstack.execute-api.us-east-1.amazonaws.com", r.URL.Path
		if f.Stage != "" {
			stage, path = f.Stage, "/"+f.Stage+path
		}
	}
	client := r.RemoteAddr
	if i := strings.LastIndexByte(client, ':'); i >= 0 {
		client = client[:i]
	}
	now := time.Now().UTC()
	e := map[string]any{
		"version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": r.URL.RawQuery,
		"headers": lowered(r.Header, domain), "isBase64Encoded": false,
		"requestContext": map[string]any{
			"accountId": "anonymous", "apiId": "localstack", "domainName": domain, "domainPrefix": "localstack",
			"requestId": now.Format("20060102T150405.000000000"), "routeKey": "$default", "stage": stage,
			"time": now.Format("02/Jan/2006:15:04:05 -0700"), "timeEpoch": now.UnixMilli(),
			"http": map[string]any{"method": r.Method, "path": r.URL.Path, "protocol": r.Proto, "sourceIp": client, "userAgent": r.UserAgent()},
		},
	}
	if c := r.Cookies(); len(c) > 0 {
		cookies := make([]string, len(c))
		for i := range c {
			cookies[i] = c[i].String()
		}
		e["cookies"] = cookies
	}
	switch {
	case len(body) > 0 && isText(r.Header.Get("Content-Type")) && utf8.Valid(body):
		e["body"] = string(body)
	case len(body) > 0:
		e["body"], e["isBase64Encoded"] = base64.StdEncoding.EncodeToString(body), true
	}
	return json.Marshal(e)
}

// lowered are the headers as events have them.
func lowered(h http.Header, domain string) map[string]string {
	out := map[string]string{"host": domain, "x-forwarded-proto": "https", "x-forwarded-port": "443"}
	for name, values := range h {
		switch name {
		case "Cookie", "Connection", "Transfer-Encoding":
		default:
			out[strings.ToLower(name)] = strings.Join(values, ",")
		}
	}
	return out
}

// isText reports a body that events carry as it is.
func isText(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	return strings.HasPrefix(media, "text/") || media == "application/json" || media == "application/xml" || media == "application/javascript" || media == ""
}
