package vfs

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncData uses fdatasync, which writes the length too where it changed, but not the
// timestamps. An interrupted call is made again; any other error is final.
func syncData(f *os.File) error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if err != unix.EINTR {
			return err
		}
	}
}
