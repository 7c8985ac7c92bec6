// Package lambdaruntime emulates AWS Lambda on loopback, with the real program: it starts the binary as AWS does, speaks
// the Runtime API with it, kills it when an invocation takes too long, and starts more of it when several invocations come at one time.
//
// A [Function] is a program with its environment and its instances; [Function.Invoke] hands one event to an instance that waits for one, or
// to a new one: a cold start, whose time until the program asks for its first event is in the [Result]. A [Front] is the HTTP side: the function's URL, buffered
// or streamed, or an HTTP API of API Gateway. It makes events of requests, in payload format 2.0, and answers of responses, with the
// limits of the real thing: 6 MiB for a request and for a buffered response.
//
// [Build] links the binary as for AWS, for this machine. Linux only.
//
// What is not emulated: the memory limit, the freezing of an instance between invocations (it idles), extensions, and the time that AWS takes to
// fetch and unpack a program. With Options.OneCPU a program has one CPU, which is what AWS gives to 1,769 MB.
//
// A Function is safe for concurrent use; whoever makes one closes it, which ends its processes. It has no goroutines of its own but those
// that serve the Runtime API to its instances.
package lambdaruntime
