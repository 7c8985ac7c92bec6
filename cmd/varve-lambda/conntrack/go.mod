// A stand-in, see conntrack.go.
module github.com/mwitkow/go-conntrack

go 1.26.7
