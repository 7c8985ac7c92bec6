package wal

import (
	"fmt"

	"github.com/varvedb/varve/model"
)

// Release removes the segments of all generations up to and including the given one, which must have ended. The number of
// the current generation survives even if no segment is left. Segments are read by nobody any more; a Replay or
// ReadSegment under way may fail with model.ErrNotFound.
func (l *Log) Release(generation uint64) error {
	l.releasing.Lock()
	defer l.releasing.Unlock()
	current := l.Generation()
	if generation >= current {
		return fmt.Errorf("release generation %d, but %d is not ended: %w", generation, current, model.ErrInvalid)
	}
	// The directory of the current generation is what remembers its number.
	if err := l.makeGenerationDir(current); err != nil {
		return fmt.Errorf("release generation %d: %w", generation, err)
	}
	for _, g := range l.generationsUpTo(generation) {
		if err := l.remove(g); err != nil {
			return fmt.Errorf("release generation %d: %w", g, err)
		}
	}
	return nil
}

func (l *Log) generationsUpTo(generation uint64) (all []uint64) {
	for _, s := range l.Segments() {
		if s.Generation <= generation && (len(all) == 0 || all[len(all)-1] != s.Generation) {
			all = append(all, s.Generation)
		}
	}
	return all
}

// remove takes one generation away. Its directory is renamed first, and that made durable, so that a crash
// leaves all of it or nothing: half a generation would look like damage.
func (l *Log) remove(generation uint64) error {
	dir := l.generationDir(generation)
	gone := dir + goneSuffix
	if err := l.fs.RemoveAll(gone); err != nil {
		return err
	}
	if err := l.fs.Rename(dir, gone); err != nil {
		return err
	}
	l.mu.Lock()
	for len(l.segments) > 0 && l.segments[0].Generation <= generation {
		l.segments = l.segments[1:]
	}
	l.mu.Unlock()
	if err := l.fs.SyncDir(l.dir); err != nil {
		return err
	}
	if err := l.fs.RemoveAll(gone); err != nil {
		return err
	}
	return l.fs.SyncDir(l.dir)
}
