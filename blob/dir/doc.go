// Package dir is a bucket in a directory, with the guarantees of a cloud's:
// atomic and durable writes, create-if-absent and compare-and-swap, between
// goroutines and between processes of one machine.
//
// # Layout
//
//	<root>/<key>                 the object, its bytes and nothing else: other tools can read it
//	<root>/<dir>/.tmp-<n>-<pid>  an object being written, beside where it will be
//	<root>/.locks/<00…3f>        lock files, one for each 64th of the keys; empty, never removed
//
// No key has a part that begins with a dot, so neither can be mistaken for an object, and both are left out of listings.
//
// # Writing
//
// Every write makes a temporary file in the object's directory, writes it, fsyncs it, gives it its
// name, and fsyncs the directory. Create-if-absent gives the name with link, which fails if the name
// is taken: one of any number of racing writers wins. Compare-and-swap takes the lock of the key, compares the version, renames, fsyncs
// the directory and lets go of the lock; unconditional writes and deletes take it too. A crash at any moment leaves the
// old object or the new one, and perhaps a temporary file. List removes those that are older than a day.
//
// When the last step, the fsync of the directory, fails, the outcome is unknown (model.ErrUnavailable). A conflict
// fsyncs the directory before it is reported, so that what its reader finds when it reads back is durable.
//
// # Versions
//
// The version is a hash of the content: times are too coarse and inode numbers are used again. It is told for
// whole objects only; reads of a part give none. The same bytes have the same version, so an object under
// compare-and-swap carries a nonce.
//
// # What it does not do
//
// A key cannot be both an object and a parent of others ("a" and "a/b"): model.ErrInvalid. It does not work
// on network file systems that lack flock or atomic link. Empty directories stay.
//
// Driver is safe for concurrent use; it holds no resources, and Close does nothing.
package dir
