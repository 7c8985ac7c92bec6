package blobtest

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/model"
)

// write writes data to the upload in pieces of odd sizes.
func (s *suite) write(u *blob.Upload, data []byte) {
	s.Helper()
	for n := 1; len(data) > 0; n = n*3 + 1 {
		piece := data[:min(n, len(data))]
		_, err := u.Write(piece)
		s.must(err)
		data = data[len(piece):]
	}
}

// uploads creates objects of several parts and of one.
func (s *suite) uploads() {
	for i, size := range []int{0, 10, s.PartBytes, s.PartBytes + 1, 2*s.PartBytes + 12345} {
		key := fmt.Sprintf("%sd/tenant=a/day=2026-01-02/%d.parquet", s.dir, i)
		data := noise(size)
		u := s.b.NewUpload(s.ctx, key)
		s.write(u, data)
		_, _, err := s.b.Get(s.ctx, key)
		s.wantKind(err, model.ErrNotFound, "get before the end of the upload")
		v, err := u.Create()
		s.must(err)
		got, gv, err := s.b.Get(s.ctx, key)
		s.must(err)
		if !bytes.Equal(got, data) || gv != v || v == "" {
			s.Fatalf("%d bytes at version %q came of %d at %q, or they differ", len(got), gv, len(data), v)
		}
		again := s.b.NewUpload(s.ctx, key)
		s.write(again, noise(size + 1)[1:])
		_, err = again.Create()
		s.wantKind(err, model.ErrConflict, "upload to a taken key")
		s.wantContent(key, string(data), v)
	}
}

// abortedUploads leave nothing that can be seen.
func (s *suite) abortedUploads() {
	key := s.dir + "aborted/x.parquet"
	for _, size := range []int{0, 100, 2*s.PartBytes + 100} {
		u := s.b.NewUpload(s.ctx, key)
		s.write(u, noise(size))
		u.Abort()
		if _, err := u.Write(nil); size > s.PartBytes && err == nil {
			s.Error("an upload that was given up may be written to")
		}
		_, _, err := s.b.Get(s.ctx, key)
		s.wantKind(err, model.ErrNotFound, "get after an upload that was given up")
		if got := s.listed(s.dir + "aborted/"); len(got) > 0 {
			s.Errorf("an upload that was given up shows %q", got)
		}
	}
	// The name is as good as new.
	u := s.b.NewUpload(s.ctx, key)
	data := noise(s.PartBytes + 5)
	s.write(u, data)
	v, err := u.Create()
	s.must(err)
	s.wantContent(key, string(data), v)
}

// raceToUpload lets uploads of one key, which are all of two parts and under way at the same time, end together: one of them wins, and
// the object is all of its making.
func (s *suite) raceToUpload() {
	const uploaders = 3
	for round := range max(2, s.Rounds/12) {
		key := fmt.Sprintf("%sraced/%d", s.dir, round)
		body := func(i int) []byte {
			data := noise(s.PartBytes + 100)
			for at := 0; at < len(data); at += 64 {
				data[at] = byte(i)
			}
			return data
		}
		var g errgroup.Group
		var ready sync.WaitGroup
		ready.Add(uploaders)
		won := make([]bool, uploaders)
		for i := range uploaders {
			g.Go(func() error {
				u := s.b.NewUpload(s.ctx, key)
				_, err := u.Write(body(i))
				ready.Done()
				ready.Wait()
				if err != nil {
					return err
				}
				_, err = u.Create()
				won[i] = err == nil
				if errors.Is(err, model.ErrConflict) {
					return nil
				}
				return err
			})
		}
		s.must(g.Wait())
		winners := 0
		for i, w := range won {
			if !w {
				continue
			}
			winners++
			got, _, err := s.b.Get(s.ctx, key)
			s.must(err)
			if !bytes.Equal(got, body(i)) {
				s.Errorf("round %d: uploader %d won, and the object is not what it wrote", round, i)
			}
		}
		if winners != 1 {
			s.Fatalf("round %d: %d uploads of one key were told that they made it", round, winners)
		}
	}
}
