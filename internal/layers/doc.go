// Package layers holds the test that keeps the house in order: which room may
// import which, where a few outside packages may be used, what a room may not
// be called, and that every package says what it is for.
//
// The rule is a table of lines (table_test.go). A room imports rooms on lower
// lines, never its own line, never upward. Beside the lines stands the list of the exact pairs in
// use: a new arrow between two rooms is a decision, so it takes a line in
// that list, and an arrow that nobody uses any more is struck from it.
//
// The test reads the import clauses of all files with go/parser, whatever
// their build tags, so it needs no compiled packages and takes milliseconds.
// Test files follow a rule of their own: they may wire rooms together in any
// way, but cmd and the root package stay out of their reach.
//
// The package has no code outside its tests, and nothing imports it.
package layers
