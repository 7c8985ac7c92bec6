// Package lambda is a querier that is an AWS Lambda: events of a function URL or of an HTTP API of API Gateway in, the Prometheus
// HTTP API (package api) out, over a bucket and nothing else.
//
// [Open] wires bucket, catalog, queryable, engine and API as a server does, detached: there is no writer that could be asked, so what is
// not in blocks yet is read from the logs that writers ship, and a warning says how far each reaches. [Function.Invoke] answers
// one event. It reads only: whatever would write is refused with 405.
//
// # Events
//
// Payload format 2.0, which is what function URLs and HTTP APIs send. Another event is an error of the function, since there is nobody whom
// an HTTP answer would reach. The tenant is in the header X-Scope-OrgID as with a server, or fixed by Config.Tenant. The stage of an
// HTTP API is cut off the path.
//
// # Answers
//
// A buffered answer is one JSON document of at most 6 MiB, with the body as text, or in base64 if it is compressed or binary. It is compressed
// where the client takes gzip, so about 40 MiB of query result fit. One that does not fit is put into the scratch bucket, if there is one, and
// the answer is 303 with a presigned URL, which clients follow by themselves; the object has a name made of its content, and nobody here deletes it: a
// lifecycle rule of the bucket does. Without a scratch bucket the answer is 422 in Prometheus' envelope and says what helps; clients show
// the text of a 422, and that of a 413 they drop.
//
// With Config.Stream events of a function URL are answered as a stream, which has no such limit. An event does not tell whether its URL was
// configured for streams, hence the setting; one of an HTTP API always gets a buffered answer, so that one function can stand behind both.
//
// A query ends a second before the invocation would be killed, or before API Gateway stops waiting, so that there is time to say so.
//
// # Use
//
// A Function is safe for concurrent use. A [Response] that was returned is read and closed by the caller, as the runtime of package lambda of
// aws-lambda-go does; until then the invocation is not over. Between invocations nothing runs. Caches in memory live as long as the
// process: a warm function reads less than a cold one. Whoever opened a Function closes it.
package lambda
