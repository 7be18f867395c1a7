package forgetest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// recorder collects what a test would have failed with.
type recorder struct{ lines []string }

func (r *recorder) server() *Server {
	return &Server{opts: Options{Report: func(f string, a ...any) { r.lines = append(r.lines, fmt.Sprintf(f, a...)) }}}
}

func description(t *testing.T) *checks {
	t.Helper()
	v := loadChecks(t)
	if v == nil {
		t.Skip("GitHub's description is not here")
	}
	return v
}

func TestViolationsOfTheDescriptionAreSeen(t *testing.T) {
	t.Parallel()
	v := description(t)
	label := obj{"id": 1, "node_id": "x", "url": "http://x", "name": "n", "description": nil, "color": "c", "default": false}
	for name, tc := range map[string]struct {
		method, pattern, body string
		rep                   reply
		want                  string
	}{
		"proper":             {"GET", inRepo + "/labels", "", ok([]obj{label}), ""},
		"missing field":      {"GET", inRepo + "/labels", "", ok([]obj{{"id": 1}}), "answer"},
		"wrong type":         {"GET", inRepo + "/labels", "", ok([]obj{with(obj{"x": 1}, with(obj{}, label)), with(with(obj{}, label), obj{"id": "1"})}), "/1/id"},
		"unlisted error":     {"GET", inRepo + "/labels", "", refuse(403, "no"), ""},
		"unlisted success":   {"GET", inRepo + "/labels", "", reply{status: 206, body: []obj{}}, "status is not supported"},
		"error as text":      {"GET", inRepo + "/labels", "", reply{status: 401, body: "no"}, "answer"},
		"proper request":     {"POST", inRepo + "/labels", `{"name":"n"}`, created(label), ""},
		"malformed request":  {"POST", inRepo + "/labels", `{"color":"c"}`, created(label), "request"},
		"refused request":    {"POST", inRepo + "/labels", `{"color":"c"}`, invalid("Label", "name", "missing_field"), ""},
		"unknown endpoint":   {"GET", inRepo + "/stargazers", "", ok([]obj{}), "no such endpoint"},
		"unknown rule":       {"GET", inRepo + "/rules/branches/{branch}", "", ok([]obj{{"type": "of_next_year"}}), ""},
		"rule of wrong form": {"GET", inRepo + "/rules/branches/{branch}", "", ok([]obj{{"type": "merge_queue", "parameters": 1}}), "answer"},
	} {
		var r recorder
		c := &call{
			http: httptest.NewRequest(tc.method, "/x", nil), body: []byte(tc.body),
			params: map[string]string{"owner": "o", "repo": "r", "branch": "main"}, route: &route{method: tc.method, pattern: tc.pattern},
		}
		v.exchange(r.server(), c, tc.rep)
		got := strings.Join(r.lines, "\n")
		if (tc.want == "") != (got == "") || !strings.Contains(got, tc.want) {
			t.Errorf("%s: reported %q, want %q", name, got, tc.want)
		}
	}
}

func TestRealWebhooksPassAndDamagedOnesDoNot(t *testing.T) {
	t.Parallel()
	v := description(t)
	dir, err := findDescription()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "webhooks", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		event, _, _ := strings.Cut(filepath.Base(file), ".")
		report := func(payload []byte) []string {
			var r recorder
			v.webhook(r.server(), event, payload)
			return r.lines
		}
		if got := report(raw); got != nil {
			t.Errorf("%s: %v", filepath.Base(file), got)
		}
		for name, damage := range map[string]func(m map[string]any){
			"extra key":   func(m map[string]any) { m["invented"] = true },
			"missing key": func(m map[string]any) { delete(m["sender"].(map[string]any), "login") },
			"wrong type":  func(m map[string]any) { m["sender"].(map[string]any)["id"] = "1" },
		} {
			var m map[string]any
			if err := json.Unmarshal(raw, &m); err != nil {
				t.Fatal(err)
			}
			damage(m)
			if report(marshal(m)) == nil {
				t.Errorf("%s: %s went unseen", filepath.Base(file), name)
			}
		}
	}
}

func TestEveryEndpointIsDescribed(t *testing.T) {
	t.Parallel()
	v := description(t)
	ours := map[string]bool{}
	for _, r := range (&Server{}).routeTable() {
		ours[r.method+" "+r.pattern] = true
		if item := v.spec.Paths.Value(r.pattern); borrowed[r.method+" "+r.pattern] == "" && (item == nil || item.GetOperation(r.method) == nil) {
			t.Errorf("%s %s: GitHub does not describe it", r.method, r.pattern)
		}
	}
	for pattern, item := range v.spec.Paths.Map() {
		for method := range item.Operations() {
			if !ours[method+" "+pattern] {
				t.Errorf("%s %s: described but not imitated", method, pattern)
			}
		}
	}
}

func TestPathsFindTheirRoute(t *testing.T) {
	t.Parallel()
	routes := compileRoutes((&Server{}).routeTable())
	for path, want := range map[string]string{
		"/repos/o/r/commits/main":                       "/repos/{owner}/{repo}/commits/{ref}",
		"/repos/o/r/commits/feature/x":                  "/repos/{owner}/{repo}/commits/{ref}",
		"/repos/o/r/commits/feature%2Fx/check-runs":     "/repos/{owner}/{repo}/commits/{ref}/check-runs",
		"/repos/o/r/commits/0123/pulls":                 "/repos/{owner}/{repo}/commits/{commit_sha}/pulls",
		"/repos/o/r/issues/comments/5":                  "/repos/{owner}/{repo}/issues/comments/{comment_id}",
		"/repos/o/r/issues/5/comments":                  "/repos/{owner}/{repo}/issues/{issue_number}/comments",
		"/repos/o/r/contents/a/b/c":                     "/repos/{owner}/{repo}/contents/{path}",
		"/repos/o/r/branches/release%2F1":               "/repos/{owner}/{repo}/branches/{branch}",
		"/repos/o/r/pulls/x":                            "",
		"/repos/o/r/branches/a/protection/nothing/here": "/repos/{owner}/{repo}/branches/{branch}",
	} {
		rt, _, found := match(routes, http.MethodGet, path)
		if (want == "") == found || (found && rt.pattern != want) {
			t.Errorf("%s: %v, want %q", path, rt, want)
		}
	}
}
