package forgetest

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// shape is what the real examples show at one place of a payload.
type shape struct {
	kinds map[string]bool // JSON types seen
	seen  int             // objects seen here
	keys  map[string]*shape
	has   map[string]int // how many of those objects have the key
	item  *shape         // of arrays
}

// hookShapes are the shapes of real webhooks: per event.action, and per event
// for actions that no example shows.
type hookShapes struct {
	exact, event map[string]*shape
	nullable     map[string]bool // keys that are null in some example of any event
}

// sometimes lists keys that one kind of sender, repository or plan has and
// another has not. They are checked where present, and never missed:
// organization and installation depend on who owns the repository and who
// receives; deployment belongs to Actions environments; the rest are fields
// that GitHub has added or dropped over the years.
var sometimes = map[string]bool{
	"organization": true, "installation": true, "deployment": true, "requester": true, "repository": true, "enterprise": true,
	"slug": true, "app_slug": true, "performed_via_github_app": true, "test_url": true, "ping_url": true, "last_response": true, "url": true,
}

// nullable are keys that no example shows as null, but GitHub's description does:
// a commit may be on no branch any more.
// Source: components.schemas.check-suite of the OpenAPI description.
var nullable = map[string]bool{"head_branch": true}

func newShape() *shape {
	return &shape{kinds: map[string]bool{}, keys: map[string]*shape{}, has: map[string]int{}}
}

func (s *shape) onlyNull() bool { return len(s.kinds) == 1 && s.kinds["null"] }

func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case float64:
		return "number"
	case string:
		return "string"
	case []any:
		return "array"
	default:
		return "object"
	}
}

func (s *shape) learn(v any, nullable map[string]bool) {
	s.kinds[kindOf(v)] = true
	switch v := v.(type) {
	case map[string]any:
		s.seen++
		for k, child := range v {
			if s.keys[k] == nil {
				s.keys[k] = newShape()
			}
			s.has[k]++
			if child == nil {
				nullable[k] = true
			}
			s.keys[k].learn(child, nullable)
		}
	case []any:
		if s.item == nil {
			s.item = newShape()
		}
		for _, child := range v {
			s.item.learn(child, nullable)
		}
	}
}

func loadHookShapes(dir string) (hookShapes, error) {
	h := hookShapes{map[string]*shape{}, map[string]*shape{}, map[string]bool{}}
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) == 0 {
		return h, fmt.Errorf("read GitHub's webhook examples: none in %s", dir)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return h, fmt.Errorf("read GitHub's webhook examples: %w", err)
		}
		var v map[string]any
		if err := json.Unmarshal(raw, &v); err != nil {
			return h, fmt.Errorf("read webhook example %s: %w", filepath.Base(file), err)
		}
		event, _, _ := strings.Cut(filepath.Base(file), ".")
		action, _ := v["action"].(string)
		for _, at := range []struct {
			in  map[string]*shape
			key string
		}{{h.exact, event + "." + action}, {h.event, event}} {
			if at.in[at.key] == nil {
				at.in[at.key] = newShape()
			}
			at.in[at.key].learn(v, h.nullable)
		}
	}
	return h, nil
}

// webhook compares a payload with the real examples of its event and action:
// top-level keys must be among theirs, and every key that all of them have must
// exist, at every depth, with a JSON type that some example has. Null passes
// where any example of any event has null under that name; a place where the
// examples have nothing but null says nothing about the type. Where no example
// shows the action, the event's other actions serve, and a top-level key that
// only some of them have is optional.
func (v *checks) webhook(s *Server, event string, raw []byte) {
	if v == nil {
		return
	}
	payload, _ := plain(json.RawMessage(raw)).(map[string]any)
	action, _ := payload["action"].(string)
	want, known := v.hooks.exact[event+"."+action]
	if !known {
		want = v.hooks.event[event]
	}
	if want == nil {
		s.report("webhook %s.%s: GitHub's examples have no such event", event, action)
		return
	}
	var wrong []string
	if known {
		for k := range payload {
			if want.keys[k] == nil && !sometimes[k] {
				wrong = append(wrong, k+": no example has it")
			}
		}
	}
	v.hooks.compare(want, payload, "", &wrong)
	if wrong != nil {
		slices.Sort(wrong)
		s.report("webhook %s.%s differs from GitHub's examples: %s", event, action, strings.Join(wrong[:min(len(wrong), 12)], "; "))
	}
}

func (h hookShapes) compare(want *shape, got any, path string, wrong *[]string) {
	name := path[strings.LastIndexByte(path, '.')+1:]
	kind := kindOf(got)
	if want.onlyNull() {
		return
	}
	if !want.kinds[kind] && (kind != "null" || !h.nullable[name] && !nullable[name]) {
		*wrong = append(*wrong, fmt.Sprintf("%s: is %s, examples have %v", path, kind, slices.Sorted(maps.Keys(want.kinds))))
		return
	}
	switch got := got.(type) {
	case map[string]any:
		if name == "permissions" || name == "config" {
			return // keys depend on the App
		}
		for k, child := range want.keys {
			v, has := got[k]
			switch {
			case has:
				h.compare(child, v, strings.TrimPrefix(path+"."+k, "."), wrong)
			case want.has[k] == want.seen && !sometimes[k]:
				*wrong = append(*wrong, strings.TrimPrefix(path+"."+k, ".")+": missing")
			}
		}
	case []any:
		if want.item == nil || want.item.kinds == nil || len(want.item.kinds) == 0 {
			return // every example's list is empty
		}
		for _, v := range got {
			h.compare(want.item, v, path, wrong)
		}
	}
}

// plain turns a Go value into what a JSON decoder makes of it.
func plain(v any) any {
	var out any
	_ = json.Unmarshal(marshal(v), &out)
	return out
}
