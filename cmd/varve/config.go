package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// envPrefix begins the names of our environment variables.
const envPrefix = "VARVE_"

// configure gives the flags of a command that were not given on the command line their values from the environment, else
// from the configuration file. That is the whole precedence: flags, environment, file, defaults.
func configure(cmd *cobra.Command, e *environment) error {
	if cmd.Name() == "help" || cmd.HasParent() && cmd.Parent().Name() == "completion" || strings.HasPrefix(cmd.Name(), "__") {
		return nil
	}
	known := knownFlags(cmd.Root())
	env := envValues(e.env, known)
	file, err := fileValues(configPath(cmd, env), known)
	if err != nil {
		return &usageError{err}
	}
	k := koanf.New("\x00") // keys are flat
	for _, layer := range []map[string]any{file, env} {
		if err := k.Load(confmap.Provider(layer, ""), nil); err != nil {
			return fmt.Errorf("configuration: %w", err)
		}
	}
	var first error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Changed || f.Name == "config" || !k.Exists(f.Name) || first != nil {
			return
		}
		if err := cmd.Flags().Set(f.Name, k.String(f.Name)); err != nil {
			source := "the configuration file"
			if _, ok := env[f.Name]; ok {
				source = envName(f.Name)
			}
			first = usagef("%s from %s: %w", f.Name, source, err)
			return
		}
		f.Annotations = map[string][]string{configured: nil}
	})
	return first
}

// configured is the annotation of flags that were not given, but got their value here.
const configured = "varve-configured"

// knownFlags are the flags of all commands that the environment and the file may set.
func knownFlags(root *cobra.Command) map[string]bool {
	known := map[string]bool{}
	addFlags(known, root)
	for _, no := range []string{"help", "config", "time", "start", "end", "step", "json", "once", "explain"} {
		delete(known, no)
	}
	return known
}

// addFlags adds the flags of all commands below, at any depth.
func addFlags(known map[string]bool, of *cobra.Command) {
	for _, c := range of.Commands() {
		c.LocalFlags().VisitAll(func(f *pflag.Flag) { known[f.Name] = true })
		addFlags(known, c)
	}
}

func envName(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// envValues are the values of flags in the environment. Variables that are no flag's are left alone: a Kubernetes service
// called varve makes some in every pod.
func envValues(env []string, known map[string]bool) map[string]any {
	names := map[string]string{envName("config"): "config"}
	for name := range known {
		names[envName(name)] = name
	}
	values := map[string]any{}
	for _, pair := range env {
		name, value, _ := strings.Cut(pair, "=")
		if flag, ok := names[name]; ok {
			values[flag] = value
		}
	}
	return values
}

func configPath(cmd *cobra.Command, env map[string]any) string {
	if f := cmd.Flags().Lookup("config"); f != nil && f.Changed {
		return f.Value.String()
	}
	path, _ := env["config"].(string)
	return path
}

// fileValues reads the configuration file: one level of names of flags.
func fileValues(path string, known map[string]bool) (map[string]any, error) {
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("configuration file: %w", err)
	}
	var values map[string]any
	if err := yaml.Unmarshal(data, &values); err != nil {
		return nil, fmt.Errorf("configuration file %s: %w", path, err)
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if !known[key] {
			return nil, fmt.Errorf("configuration file %s: unknown key %q", path, key)
		}
		if values[key], err = scalar(values[key]); err != nil {
			return nil, fmt.Errorf("configuration file %s: key %q: %w", path, key, err)
		}
	}
	return values, nil
}

// scalar is a value of the file as text, the way it would stand behind a flag.
func scalar(v any) (string, error) {
	switch v := v.(type) {
	case string, bool, int, int64, uint64, float64:
		return fmt.Sprint(v), nil
	case []any:
		parts := make([]string, len(v))
		for i, one := range v {
			part, err := scalar(one)
			if err != nil {
				return "", err
			}
			parts[i] = part
		}
		return strings.Join(parts, ","), nil
	case nil:
		return "", fmt.Errorf("no value")
	}
	return "", fmt.Errorf("want a value or a list of values")
}
