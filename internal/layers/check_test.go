package layers

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// A pair is one arrow of the picture: from imports to.
type pair struct{ from, to room }

// house is the table in the form that the checks ask for.
type house struct {
	line    map[room]int
	testing map[room]bool
	workers []room
	fences  []fence
	bad     []string
}

func newHouse() *house {
	h := &house{line: map[room]int{}, testing: map[room]bool{}, workers: workers(), fences: fences(), bad: badNames()}
	for i, l := range lines() {
		for _, r := range l {
			h.line[r] = i
		}
	}
	for _, r := range testRooms() {
		h.testing[r] = true
	}
	return h
}

// roomOf finds the room of a folder: the nearest folder upward that is one.
func (h *house) roomOf(dir string) (room, bool) {
	for d := dir; d != "." && d != "/"; d = path.Dir(d) {
		if _, ok := h.line[room(d)]; ok || h.testing[room(d)] {
			return room(d), true
		}
	}
	return ".", dir == "."
}

// check returns what is wrong with the files, one sentence each, sorted, and the arrows between product rooms.
func (h *house) check(files []source) (faults []string, arrows []pair) {
	faults = append(faults, h.checkFolders(files)...)
	seen := map[pair]bool{}
	for _, f := range files {
		from, known := h.roomOf(f.dir)
		if !known {
			continue // checkFolders has said so
		}
		for _, imp := range f.imports {
			to, inside := h.target(imp)
			if !inside {
				faults = append(faults, h.checkOutside(f, from, imp)...)
				continue
			}
			faults = append(faults, h.checkArrow(f, from, to)...)
			if p := (pair{from, to}); from != to && !f.test() && !h.testing[from] && !strings.HasPrefix(string(from), "cmd/") && !seen[p] {
				seen[p] = true
				arrows = append(arrows, p)
			}
		}
	}
	slices.Sort(faults)
	return slices.Compact(faults), arrows
}

// target is the room that an import path leads to; inside is false for packages of others.
func (h *house) target(imp string) (to room, inside bool) {
	if imp == module {
		return ".", true
	}
	dir, ok := strings.CutPrefix(imp, module+"/")
	if !ok {
		return "", false
	}
	to, known := h.roomOf(dir)
	if !known {
		return room(dir), true
	}
	return to, true
}

func (h *house) checkArrow(f source, from, to room) []string {
	where := f.dir + "/" + f.file
	switch {
	case from == to:
		return nil
	case strings.HasPrefix(string(to), "cmd/"):
		return []string{fmt.Sprintf("%s imports %s: nothing imports cmd", where, to)}
	case to == "." && !strings.HasPrefix(string(from), "cmd/"):
		return []string{fmt.Sprintf("%s imports the root package: only cmd does", where)}
	case f.test() || h.testing[from]:
		return nil
	case h.testing[to]:
		return []string{fmt.Sprintf("%s imports %s: only tests may", where, to)}
	case slices.Contains(h.workers, from) && slices.Contains(h.workers, to):
		return []string{fmt.Sprintf("%s imports %s: %s never import one another", where, to, joined(h.workers))}
	}
	up, ok := h.line[to]
	if !ok {
		return []string{fmt.Sprintf("%s imports %s: it is not in the table of rooms", where, to)}
	}
	if own := h.line[from]; up >= own {
		return []string{fmt.Sprintf("%s imports %s: %s is on line %d, %s on line %d, and imports go down", where, to, from, own, to, up)}
	}
	return nil
}

func (h *house) checkOutside(f source, from room, imp string) []string {
	if f.test() || h.testing[from] {
		return nil
	}
	for _, fc := range h.fences {
		if (imp == fc.prefix || strings.HasPrefix(imp, fc.prefix+"/")) && imp != fc.prefix+"/v2" && !slices.Contains(fc.rooms, from) {
			return []string{fmt.Sprintf("%s/%s imports %s: %s", f.dir, f.file, imp, fc.why)}
		}
	}
	return nil
}

// checkFolders looks at each package as a whole: its room, its name, its doc comment.
func (h *house) checkFolders(files []source) []string {
	documented, folders := map[string]bool{}, map[string]string{}
	var faults []string
	for _, f := range files {
		if f.test() && strings.HasSuffix(f.pkg, "_test") {
			continue
		}
		// A folder with nothing but test files is documented in one of them.
		folders[f.dir] = f.pkg
		documented[f.dir] = documented[f.dir] || f.doc
	}
	for dir, pkg := range folders {
		if _, ok := h.roomOf(dir); !ok {
			faults = append(faults, fmt.Sprintf("%s is in no room: add it to the table, or to a room that is there", dir))
		}
		for _, part := range append(strings.Split(dir, "/"), pkg) {
			if slices.Contains(h.bad, part) {
				faults = append(faults, fmt.Sprintf("%s: %q is no name for a package; give the idea its noun", dir, part))
			}
		}
		if !documented[dir] {
			faults = append(faults, fmt.Sprintf("%s: package %s has no doc comment", dir, pkg))
		}
	}
	return faults
}

// comparePairs tells the list of arrows from those in use.
func comparePairs(listed, used []pair) []string {
	var faults []string
	for _, p := range used {
		if !slices.Contains(listed, p) {
			faults = append(faults, fmt.Sprintf("%s imports %s, a new arrow: if it is meant, add it to the list of pairs", p.from, p.to))
		}
	}
	for _, p := range listed {
		if !slices.Contains(used, p) {
			faults = append(faults, fmt.Sprintf("%s no longer imports %s: strike the pair from the list", p.from, p.to))
		}
	}
	slices.Sort(faults)
	return faults
}

func joined(rooms []room) string {
	var s []string
	for _, r := range rooms {
		s = append(s, string(r))
	}
	return strings.Join(s, ", ")
}
