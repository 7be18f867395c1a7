package api

import (
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

var problemModel = reflect.TypeFor[huma.ErrorModel]()

// exemplify gives every JSON body of an operation an example, made of its fields'.
func exemplify(schemas huma.Registry, op *huma.Operation) {
	if op.RequestBody != nil {
		exemplifyContent(schemas, op.RequestBody.Content)
	}
	for _, r := range op.Responses {
		exemplifyContent(schemas, r.Content)
	}
}

func exemplifyContent(schemas huma.Registry, content map[string]*huma.MediaType) {
	for kind, media := range content {
		if media.Example == nil && media.Schema != nil && strings.HasSuffix(kind, "json") {
			media.Example = exampleOf(schemas, media.Schema, nil)
		}
	}
}

// exampleOf makes a value that fits a schema. A type within itself is left out.
func exampleOf(schemas huma.Registry, s *huma.Schema, within []string) any {
	if s.Ref != "" {
		if slices.Contains(within, s.Ref) {
			return nil
		}
		within, s = append(slices.Clip(within), s.Ref), schemas.SchemaFromRef(s.Ref)
		if s == nil {
			return nil
		}
	}
	switch {
	case len(s.Examples) > 0:
		return s.Examples[0]
	case s.Default != nil:
		return s.Default
	case len(s.Enum) > 0:
		return s.Enum[0]
	}
	switch s.Type {
	case huma.TypeObject:
		return exampleObject(schemas, s, within)
	case huma.TypeArray:
		if v := exampleOf(schemas, s.Items, within); v != nil {
			return []any{v}
		}
		return []any{}
	case huma.TypeString:
		return exampleText(s)
	case huma.TypeInteger:
		if s.Minimum != nil {
			return int(*s.Minimum)
		}
		return 1
	case huma.TypeNumber:
		return 0.5
	case huma.TypeBoolean:
		return true
	}
	return nil
}

func exampleObject(schemas huma.Registry, s *huma.Schema, within []string) any {
	object := map[string]any{}
	for name, field := range s.Properties {
		word, known := exampleWords[name]
		if known && field.Type == huma.TypeString && len(field.Examples)+len(field.Enum) == 0 {
			object[name] = word
		} else if v := exampleOf(schemas, field, within); v != nil {
			object[name] = v
		}
	}
	if rest, ok := s.AdditionalProperties.(*huma.Schema); ok && len(s.Properties) == 0 {
		if v := exampleOf(schemas, rest, within); v != nil {
			object["name"] = v
		}
	}
	return object
}

// exampleTime is when the examples happen.
const exampleTime = "2026-11-26T18:00:00Z"

func exampleText(s *huma.Schema) string {
	if s.Format == "date-time" {
		return exampleTime
	}
	return "text"
}

// exampleWords are values for fields that say the same wherever they are.
var exampleWords = map[string]any{
	"host": "web1", "name": "web1", "repo": "alice/nixcfg", "commit": exampleCommit, "head": exampleCommit, "base": exampleCommit,
	"checkout_commit": exampleCommit, "running_commit": exampleCommit, "actor": "alice", "id": "01JDMZ4V3M8Q2X5R7T9W0Y1Z2A",
	"order": "01JDMZ4V3M8Q2X5R7T9W0Y1Z2B", "rollout": "01JDMZ4V3M8Q2X5R7T9W0Y1Z2C", "reason": "the new kernel, before the weekend",
	"attr": "nixosConfigurations.web1", "title": "flake.lock: Update", "url": "https://github.com/alice/nixcfg/pull/42",
	"headline": "Deploying 3/9 hosts…", "found": "The head of main is an ancestor of the pull request.", "path": "flake.lock",
	"agent_version": "1.0.0", "platform": "nixos", "running_path": "/nix/store/9c1xm0…-nixos-system-web1-26.05",
	"label": "Up to date", "light": "ok", "question": "Is my local repo up to date with GitHub?", "badge": "", "step": "building", "kind": "deploy",
	"default_branch": "main", "type": problemDoc, "detail": "No host is named web9. `nixfleet hosts` lists those there are.",
}

const (
	exampleCommit = "4f2a9c1e8b7d6f5a3c2b1e0d9f8a7b6c5d4e3f2a"
	problemDoc    = docsPath + "#problem-not-found"
)
