package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// description is what the test reads of the OpenAPI document.
type description struct {
	Paths map[string]map[string]struct {
		OperationID string `json:"operationId"`
		Summary     string
		Description string
		Tags        []string
		Role        string `json:"x-nixfleet-role"`
		Security    []map[string][]string
		Parameters  []struct{ Name, In, Description string }
		RequestBody *struct{ Content map[string]media }
		Responses   map[string]struct {
			Description string
			Content     map[string]media
		}
	}
	Components struct {
		Schemas map[string]struct {
			Properties map[string]any
		}
	}
	Tags []struct{ Name, Description string }
}

type media struct {
	Schema  map[string]any
	Example any
}

func described(t *testing.T, url string) description {
	t.Helper()
	resp, text := send(t, "GET", url+"/api/v1/openapi.json", "", "", "")
	var d description
	if err := json.Unmarshal([]byte(text), &d); err != nil || resp.StatusCode != 200 {
		t.Fatalf("%d: %v", resp.StatusCode, err)
	}
	return d
}

// An operation that does not say what it does, for whom, and what it answers, is found
// out only by trying.
func TestEveryOperationSaysWhatItIs(t *testing.T) {
	t.Parallel()
	_, url := serve(t)
	d := described(t, url)
	var tags []string
	for _, tag := range d.Tags {
		tags = append(tags, tag.Name)
	}
	n := 0
	for path, item := range d.Paths {
		for method, op := range item {
			n++
			fault := func(format string, args ...any) {
				t.Errorf("%s %s: %s", method, path, fmt.Sprintf(format, args...))
			}
			if op.Summary == "" || len(op.Description) < 20 {
				fault("needs a Summary and a Description")
			}
			if len(op.Tags) != 1 || !slices.Contains(tags, op.Tags[0]) {
				fault("needs one of the Tags of api/operation.go, has %q", op.Tags)
			}
			if !slices.Contains([]string{"viewer", "operator", "admin"}, op.Role) || len(op.Security) != 1 {
				fault("needs a role: Metadata: needs(…), has %q", op.Role)
			}
			for _, status := range []string{"401", "403", "429", "500"} {
				if r := op.Responses[status]; r.Description == "" || r.Content["application/problem+json"].Example == nil {
					fault("does not tell of %s", status)
				}
			}
			for _, p := range op.Parameters {
				if p.Description == "" && p.In != "path" {
					fault("parameter %s is not explained", p.Name)
				}
			}
			keyed := slices.ContainsFunc(op.Parameters, func(p struct{ Name, In, Description string }) bool { return p.Name == "Idempotency-Key" })
			if keyed != (method == "post") {
				fault("takes an Idempotency-Key: %v", keyed)
			}
			if b := op.RequestBody; b != nil && b.Content["application/json"].Example == nil {
				fault("has no example of its body")
			}
			for status, r := range op.Responses {
				for kind, m := range r.Content {
					if m.Example == nil {
						fault("has no example of its answer %s %s", status, kind)
					}
				}
			}
		}
	}
	if n < 40 {
		t.Errorf("looked at %d operations only", n)
	}
}

// tells are fields that hold what whoever reads it may use.
var tells = regexp.MustCompile(`(?i)^(token|secret|password|address|link)$`)

// A secret in the answer to a POST would be kept for its repetition, in clear.
func TestWhatTellsASecretSaysSo(t *testing.T) {
	t.Parallel()
	_, url := serve(t)
	d := described(t, url)
	seen := 0
	for path, item := range d.Paths {
		for status, r := range item["post"].Responses {
			ref, _ := r.Content["application/json"].Schema["$ref"].(string)
			for name := range d.Components.Schemas[ref[strings.LastIndex(ref, "/")+1:]].Properties {
				if !tells.MatchString(name) {
					continue
				}
				seen++
				if !slices.Contains([]string{"/api/v1/hosts", "/api/v1/login-links", "/api/v1/tokens"}, path) {
					t.Errorf("the answer %s of POST %s has %s: register it with Metadata: needsAndTells(…), and name it here", status, path, name)
				}
			}
		}
	}
	if seen == 0 {
		t.Error("nothing was looked at")
	}
}

func TestEveryRefusalIsAProblemOfOneShape(t *testing.T) {
	t.Parallel()
	_, url := serve(t)
	for name, tt := range map[string]struct {
		method, path, token, body string
		status                    int
		kind, header, value       string
	}{
		"no such address":      {"GET", "/api/v1/nothing", "see", "", 404, "not-found", "Nixfleet-Version", "1.2.3"},
		"nothing at all":       {"GET", "/api/", "", "", 404, "not-found", "", ""},
		"a wrong method":       {"PUT", "/api/v1/hosts", "see", "", 405, "method", "Allow", "GET, POST"},
		"another wrong method": {"POST", "/api/v1/orders/01R/log", "see", "", 405, "method", "Allow", "GET"},
		"no token":             {"GET", "/api/v1/hosts", "", "", 401, "no-token", "WWW-Authenticate", "Bearer"},
		"a wrong token":        {"GET", "/api/v1/hosts", "nobody", "", 401, "no-token", "WWW-Authenticate", `Bearer error="invalid_token"`},
		"too low a role":       {"DELETE", "/api/v1/hosts/web1", "do", "", 403, "role", "", ""},
		"unknown":              {"GET", "/api/v1/hosts/nobody", "see", "", 404, "not-found", "Nixfleet-Version", "1.2.3"},
		"not JSON":             {"POST", "/api/v1/orders", "do", "{", 400, "bad-request", "", ""},
		"a field":              {"POST", "/api/v1/hosts", "all", `{"name":"-"}`, 422, "invalid", "", ""},
		"too much":             {"POST", "/api/v1/hosts", "all", `{"name":"` + strings.Repeat("x", 2<<20) + `"}`, 413, "too-large", "", ""},
		"a conflict":           {"POST", "/api/v1/rollouts/01R/resume", "do", "", 409, "conflict", "", ""},
		"a fault":              {"GET", "/api/v1/hosts/broken", "see", "", 500, "fault", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			resp, text := send(t, tt.method, url+tt.path, tt.token, "", tt.body)
			var p struct {
				Type, Title, Detail string
				Status              int
				Errors              []struct{ Location, Message string }
			}
			if err := json.Unmarshal([]byte(text), &p); err != nil || resp.Header.Get("Content-Type") != "application/problem+json" {
				t.Fatalf("%v: %s %s", err, resp.Header.Get("Content-Type"), text)
			}
			if resp.StatusCode != tt.status || p.Status != tt.status || p.Type != "/api/v1/docs#problem-"+tt.kind || p.Title != http.StatusText(tt.status) || p.Detail == "" {
				t.Errorf("%d %+v", resp.StatusCode, p)
			}
			if tt.kind == "invalid" && (len(p.Errors) == 0 || p.Errors[0].Location != "body.name") {
				t.Errorf("fields: %+v", p.Errors)
			}
			if tt.kind == "fault" && strings.Contains(text, "/srv/data") {
				t.Errorf("tells of the inside: %s", text)
			}
			if got := resp.Header.Get(tt.header); tt.header != "" && got != tt.value {
				t.Errorf("%s: %q, want %q", tt.header, got, tt.value)
			}
		})
	}
}
