package policyfile

import (
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/nixfleet/nixfleet/fleet"
)

// Write is a policy as a policy file: the version, and what differs from the built-in
// policy. [Parse] reads the same policy from it.
func Write(p fleet.Policy) ([]byte, error) {
	root := yaml.MapSlice{{Key: "version", Value: 1}}
	usual := fleet.SettingsOf(fleet.DefaultPolicy())
	for i, s := range fleet.SettingsOf(p) {
		if !reflect.DeepEqual(s.Value, usual[i].Value) {
			root = set(root, strings.Split(s.Key, "."), plain(s))
		}
	}
	return yaml.MarshalWithOptions(root, yaml.IndentSequence(true))
}

// set puts a value at a path, after what is there.
func set(m yaml.MapSlice, path []string, value any) yaml.MapSlice {
	if len(path) == 1 {
		return append(m, yaml.MapItem{Key: path[0], Value: value})
	}
	if n := len(m) - 1; n >= 0 && m[n].Key == path[0] {
		inner, _ := m[n].Value.(yaml.MapSlice)
		m[n].Value = set(inner, path[1:], value)
		return m
	}
	return append(m, yaml.MapItem{Key: path[0], Value: set(nil, path[1:], value)})
}

// plain is a value as the YAML library writes it.
func plain(s fleet.Setting) any {
	list, ok := s.Value.([]fleet.Entry)
	if !ok {
		return s.Value
	}
	out := []yaml.MapSlice{}
	for _, e := range list {
		item := yaml.MapSlice{}
		for _, p := range e {
			item = append(item, yaml.MapItem{Key: p.Key, Value: p.Value})
		}
		out = append(out, item)
	}
	return out
}
