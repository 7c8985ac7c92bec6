// Package blob is Varve's view of an object store: whole objects with a
// version, compare-and-swap, create-if-absent, range reads, delete and list,
// the same on S3, GCS, Azure Blob, a directory and memory.
//
// # Types
//
// A Driver is one backend and does one attempt of one call (packages blob/s3, blob/gcs,
// blob/azure, blob/dir, blob/mem). A Bucket is what the rest of Varve holds: it wraps a Driver and adds
// the key prefix, checks of keys, retries with jittered backoff, resumption of bodies that
// broke off, hedged reads, a limit on calls in flight, the coalescing of ranges (ReadRanges)
// and metrics. Wrappers that count (blob/countblob) and fail (blob/faultblob) are Drivers, so that they see each attempt.
//
// Both are safe for concurrent use. Whoever opened a Bucket closes it; Close closes the Driver and waits for
// reads that lost a hedge. New starts no goroutine; ReadRanges and hedged reads start some and wait for them.
//
// # What a write promises
//
// A write is atomic: a reader sees the whole old object, the whole new one or none, and a
// crash of the writer at any moment leaves nothing else visible. When a write returned without error it is
// durable. When it failed with model.ErrUnavailable its outcome is unknown. Bucket tries again,
// and the second try of a conditional write that had in truth succeeded finds its own object and
// answers model.ErrConflict: so a conflict, too, never proves failure. Callers read back and look whether the state is theirs.
//
// A Version changes whenever the bytes change. Stores whose version is a hash of the content (S3 for some objects, directories) give the same
// version to the same bytes; an object under compare-and-swap therefore carries a nonce.
//
// # Denied
//
// S3 and GCS answer 403, not 404, for a missing object to a client that may read but not
// list. So a read that was refused fails with an error that is both model.ErrNotFound and
// ErrDenied: it may be missing, or forbidden. A caller for whom absence is ordinary and
// confirmed elsewhere (a catalog, absent from the root; a log segment, beside a readable writer id) tests model.ErrNotFound; a caller
// who would take absence for "there is no data at all" (the root, the roster) must test IsDenied first and
// report it. A refused write, delete or list is ErrDenied alone.
//
// # URLs
//
//	s3://BUCKET      gs://BUCKET      azblob://CONTAINER      file:///DIRECTORY      mem://
//
// Credentials are never part of a URL: they come from the provider's usual environment, files or machine identity, and a
// URL with a user part is refused. Options are query parameters; an unknown one is refused by name.
//
//	all     prefix=a/b               every key is kept under a/b/
//	s3      region, profile          as in the AWS configuration
//	        endpoint=URL             another server that speaks S3
//	        use_path_style=true      bucket in the path, not in the host name
//	        anonymous=true           no credentials
//	        ssetype=AES256|aws:kms|aws:kms:dsse, kmskeyid=KEY     server-side encryption of what is written
//	        request_checksum_calculation=when_required|when_supported, response_checksum_validation=…    for stores that dislike CRC headers
//	gs      kmskeyname=projects/…/cryptoKeys/KEY     customer-managed encryption key of what is written
//	        endpoint=URL             another server that speaks the JSON API (implies anonymous)
//	        anonymous=true           no credentials
//	azblob  storage_account, domain, protocol, localemu           where the container lives
//	        encryption_scope=NAME    encryption scope of what is written
//	file    create=true              make the directory if it is missing
//
// # Trace
//
// A Trace in the context sees each read and list of the calls made under it, may refuse them, and is told which of them
// depended on which: so a query is accounted for and kept within its budgets without anybody between knowing of it.
//
// # What it does not do
//
// It caches nothing, knows no object's format, gives no order between writes of different keys,
// offers no rename, and streams no reads. An object is written from memory, or by an Upload that holds a part of it.
package blob
