package main

import "runtime/debug"

// version is set by the linker in releases.
var version string

// buildInfo is what this program was made of.
func buildInfo() (v, revision string) {
	v = version
	if info, ok := debug.ReadBuildInfo(); ok {
		if v == "" && info.Main.Version != "(devel)" {
			v = info.Main.Version
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = s.Value
			}
		}
	}
	if v == "" {
		v = "development"
	}
	return v, revision
}
