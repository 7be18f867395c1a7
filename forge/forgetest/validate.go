package forgetest

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// checks holds what GitHub says about itself: the OpenAPI description of its
// endpoints, and the shapes of real webhooks. A nil *checks checks nothing.
type checks struct {
	spec  *openapi3.T
	hooks hookShapes
}

// findDescription finds ../shared/github beside the checkout, from the directory that a
// test runs in (its package) upwards.
func findDescription() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		path := filepath.Join(dir, "shared", "github")
		if _, err := os.Stat(filepath.Join(path, "openapi.json")); err == nil {
			return path, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no shared/github/openapi.json beside the source tree")
		}
		dir = parent
	}
}

var loadOnce = sync.OnceValues(func() (*checks, error) {
	dir, err := findDescription()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(dir, "openapi.json"))
	if err != nil {
		return nil, fmt.Errorf("read GitHub's OpenAPI description: %w", err)
	}
	for _, part := range [][]byte{deploymentsDescription, actionsDescription} {
		if text, err = joined(text, part); err != nil {
			return nil, fmt.Errorf("read GitHub's OpenAPI description: %w", err)
		}
	}
	spec, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		return nil, fmt.Errorf("read GitHub's OpenAPI description: %w", err)
	}
	mend(spec)
	hooks, err := loadHookShapes(filepath.Join(dir, "webhooks"))
	return &checks{spec, hooks}, err
})

// deploymentsDescription describes the endpoints of deployments, which the description
// at hand leaves out. It was written down after GitHub's own
// (github.com/github/rest-api-description, operations repos/list-deployments,
// repos/create-deployment, repos/list-deployment-statuses and
// repos/create-deployment-status): names, types, enumerations and what is required,
// without the prose.
//
//go:embed deployments.openapi.json
var deploymentsDescription []byte

// actionsDescription is the same for workflows, by their ids: operations
// actions/list-repo-workflows and actions/create-workflow-dispatch.
//
//go:embed actions.openapi.json
var actionsDescription []byte

// joined adds the endpoints of a part to a description that lacks them. What GitHub's
// description has itself is left as it is.
func joined(text, more []byte) ([]byte, error) {
	var part, whole struct {
		Paths      map[string]json.RawMessage `json:"paths"`
		Components struct {
			Schemas    map[string]json.RawMessage `json:"schemas"`
			Parameters json.RawMessage            `json:"parameters,omitempty"`
			Responses  json.RawMessage            `json:"responses,omitempty"`
			Headers    json.RawMessage            `json:"headers,omitempty"`
		} `json:"components"`
		OpenAPI json.RawMessage `json:"openapi,omitempty"`
		Info    json.RawMessage `json:"info,omitempty"`
	}
	if err := json.Unmarshal(more, &part); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &whole); err != nil {
		return nil, err
	}
	add := func(to, from map[string]json.RawMessage) {
		for name, v := range from {
			if to[name] == nil {
				to[name] = v
			}
		}
	}
	add(whole.Paths, part.Paths)
	add(whole.Components.Schemas, part.Components.Schemas)
	return json.Marshal(whole)
}

// mend corrects one mistake of the description: in the list of installations an
// account would have to be a user and an enterprise at once. Everywhere else
// it is one of the two.
func mend(spec *openapi3.T) {
	item := spec.Paths.Value("/app/installations")
	if item == nil {
		return
	}
	list := item.Get.Responses.Status(http.StatusOK).Value.Content.Get("application/json").Schema.Value
	account := list.Items.Value.Properties["account"].Value
	if account.AllOf != nil {
		account.AnyOf, account.AllOf = account.AllOf, nil
	}
}

func loadChecks(t TB) *checks {
	t.Helper()
	c, err := loadOnce()
	if err != nil {
		t.Logf("OpenAPI and webhook validation skipped: %v", err)
		return nil
	}
	return c
}

// borrowed lists endpoints of github.com that the description at hand leaves
// out, each with one whose answer has the same schema.
var borrowed = map[string]string{
	"GET /user/{account_id}":                                           "/users/{username}",
	"GET /repos/{owner}/{repo}/collaborators/{username}":               "/repos/{owner}/{repo}/pulls/{pull_number}/merge",
	"GET /repos/{owner}/{repo}/contents":                               "/repos/{owner}/{repo}/contents/{path}",
	"GET /repos/{owner}/{repo}/commits/{commit_sha}/pulls":             "/repos/{owner}/{repo}/pulls",
	"DELETE /repos/{owner}/{repo}/issues/{issue_number}/labels/{name}": "/repos/{owner}/{repo}/issues/{issue_number}/labels",
}

// exchange checks one request and its answer against the description. Where
// the description is not to be taken literally:
//   - A request that was refused (4xx) may be malformed; only its answer is
//     checked.
//   - 401, 403, 404, 405, 409, 410 and 422 are possible everywhere but listed at
//     few endpoints; an unlisted one must have the common error shape.
//   - Raw media types answer with the bytes of a file; the description has
//     JSON only.
//   - A body that is the JSON value null counts as no body: App clients send it
//     when they ask for a token without narrowing it.
//   - Labels may be sent as a bare list; the description has the object only.
//   - Rules of a type that the description does not know are left out: GitHub
//     adds types at any time, and tests use that on purpose.
func (v *checks) exchange(s *Server, c *call, rep reply) {
	if v == nil {
		return
	}
	if err := v.check(c, rep); err != nil {
		s.report("%s %s (%d) violates GitHub's description: %v", c.http.Method, c.http.URL.Path, rep.status, err)
	}
}

func (v *checks) check(c *call, rep reply) error {
	method, pattern := c.route.method, c.route.pattern
	other, isBorrowed := borrowed[method+" "+pattern]
	if isBorrowed {
		method, pattern = http.MethodGet, other
	}
	item := v.spec.Paths.Value(pattern)
	if item == nil || item.GetOperation(method) == nil {
		return errors.New("the description has no such endpoint")
	}
	// The body was read already; give the validator its own copy.
	body := bytes.TrimSpace(c.body)
	if string(body) == "null" {
		body = nil
	}
	req := c.http.Clone(context.Background())
	req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	if len(body) > 0 && req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", "application/json")
	}
	in := &openapi3filter.RequestValidationInput{
		Request: req, PathParams: c.params, QueryParams: c.http.URL.Query(),
		Route:   &routers.Route{Spec: v.spec, Path: pattern, PathItem: item, Method: method, Operation: item.GetOperation(method)},
		Options: &openapi3filter.Options{SkipSettingDefaults: true, IncludeResponseStatus: true},
	}
	in.Options.WithCustomSchemaErrorFunc(func(e *openapi3.SchemaError) string {
		return "/" + strings.Join(e.JSONPointer(), "/") + ": " + e.Reason
	})
	bareList := bytes.HasPrefix(body, []byte("["))
	if rep.status < 400 && !isBorrowed && !bareList {
		if err := openapi3filter.ValidateRequest(context.Background(), in); err != nil {
			return fmt.Errorf("request: %w", err)
		}
	}
	if err := v.checkReply(in, rep); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	return nil
}

func (v *checks) checkReply(in *openapi3filter.RequestValidationInput, rep reply) error {
	header := rep.header.Clone()
	if header == nil {
		header = http.Header{}
	}
	if header.Get("Content-Type") == "" {
		header.Set("Content-Type", "application/json; charset=utf-8")
	}
	if !strings.HasPrefix(header.Get("Content-Type"), "application/json") {
		return nil
	}
	if rep.status >= 400 && in.Route.Operation.Responses.Status(rep.status) == nil {
		return v.spec.Components.Schemas["basic-error"].Value.VisitJSON(plain(rep.body))
	}
	raw := rep.raw
	if raw == nil && rep.body != nil {
		raw = marshal(v.knownRules(in.Route.Path, rep.body))
	}
	return openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: rep.status, Header: header, Body: io.NopCloser(bytes.NewReader(raw)), Options: in.Options,
	})
}

// knownRules drops rules whose type has no schema.
func (v *checks) knownRules(path string, body any) any {
	list, isList := body.([]obj)
	if !isList || !strings.HasSuffix(path, "/rules/branches/{branch}") {
		return body
	}
	known := []obj{}
	for _, rule := range list {
		name := "repository-rule-" + strings.ReplaceAll(fmt.Sprint(rule["type"]), "_", "-")
		if v.spec.Components.Schemas[name] != nil {
			known = append(known, rule)
		}
	}
	return known
}
