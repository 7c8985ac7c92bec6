package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/varvedb/varve/api"
	"github.com/varvedb/varve/blob"
)

// shownFlags are the flags of a server as its status pages show them, without secrets.
type shownFlags struct {
	// all are the values of every flag.
	all map[string]string
	// given is a configuration file with those that were given, wherever that was.
	given string
	// runtime is what the environment says beside.
	runtime api.Runtime
}

// showFlags takes a command's flags and variables as in os.Environ.
func showFlags(f *pflag.FlagSet, env []string) (shownFlags, error) {
	s := shownFlags{all: map[string]string{}, runtime: runtimeOf(env)}
	given := map[string]any{}
	f.VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" || f.Name == "config" {
			return
		}
		text := f.Value.String()
		if f.Name == "bucket" && text != "" {
			text = blob.Redact(text)
		}
		s.all[f.Name] = text
		if !f.Changed {
			return
		}
		given[f.Name] = text
		if list, ok := f.Value.(pflag.SliceValue); ok {
			given[f.Name] = list.GetSlice()
		}
	})
	s.runtime.Retention = s.all["retention"]
	if len(given) == 0 {
		return s, nil
	}
	file, err := yaml.Marshal(given)
	if err != nil {
		return shownFlags{}, fmt.Errorf("write configuration: %w", err)
	}
	s.given = string(file)
	return s, nil
}

func runtimeOf(env []string) (r api.Runtime) {
	// Without a directory there is nothing to tell of it.
	r.Directory, _ = os.Getwd()
	for _, pair := range env {
		switch name, value, _ := strings.Cut(pair, "="); name {
		case "GOGC":
			r.GOGC = value
		case "GODEBUG":
			r.GODEBUG = value
		}
	}
	return r
}
