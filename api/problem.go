package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// problemKind is one kind of answer that says why nothing was done.
type problemKind struct {
	status int
	name   string // the end of its type
	means  string
}

// problemKinds are all that there are; the page of the API explains them.
var problemKinds = []problemKind{
	{http.StatusBadRequest, "bad-request", "The request can't be read: it is not JSON, or not HTTP as it should be."},
	{http.StatusUnauthorized, "no-token", "There is no bearer token, or the server does not know it, or it has expired."},
	{http.StatusForbidden, "role", "The token is good, but its role may not do this."},
	{http.StatusNotFound, "not-found", "There is no such address, or nothing has this name or id."},
	{http.StatusMethodNotAllowed, "method", "The address exists, but not with this method; the header Allow lists those it has."},
	{http.StatusNotAcceptable, "not-acceptable", "The API answers JSON only."},
	{http.StatusRequestTimeout, "too-slow", "The body did not come in time."},
	{http.StatusConflict, "conflict", "It can't be done as things are; the detail says what stands in the way. Look again before you repeat it."},
	{http.StatusRequestEntityTooLarge, "too-large", "The body is larger than this operation takes."},
	{http.StatusUnsupportedMediaType, "media-type", "The body has to be JSON: send Content-Type: application/json."},
	{http.StatusUnprocessableEntity, "invalid", "Something in the request is wrong; errors lists each field with what was expected."},
	{http.StatusTooManyRequests, "too-many", "Too many requests; the header Retry-After says how many seconds to wait."},
	{http.StatusInternalServerError, "fault", "The server failed; its log says why. The request may be repeated, with the same Idempotency-Key."},
	{http.StatusServiceUnavailable, "away", "The server, or something that it rests on, is not ready; Retry-After says when to try again."},
}

// kindOf is the kind of a status; what is not listed has none.
func kindOf(status int) (problemKind, bool) {
	i := slices.IndexFunc(problemKinds, func(k problemKind) bool { return k.status == status })
	if i < 0 {
		return problemKind{}, false
	}
	return problemKinds[i], true
}

// problemType is an address at which a kind of problem is explained.
func problemType(status int) string {
	if k, ok := kindOf(status); ok {
		return docsPath + "#problem-" + k.name
	}
	return "about:blank"
}

// finish gives every problem its type. What went wrong inside of the server goes to its
// log, not to the caller: it may name files and addresses.
func finish(s Doorkeeper) huma.Transformer {
	return func(ctx huma.Context, _ string, v any) (any, error) {
		m, ok := v.(*huma.ErrorModel)
		if !ok {
			return v, nil
		}
		m.Type = problemType(m.Status)
		if m.Status == http.StatusInternalServerError && len(m.Errors) > 0 {
			var texts []string
			for _, e := range m.Errors {
				texts = append(texts, e.Message)
			}
			s.Failed(ctx.Operation().OperationID, strings.Join(texts, "; "))
			m.Detail, m.Errors = "The server failed; its log says why.", nil
		}
		return m, nil
	}
}

// WriteProblem answers with RFC 9457's problem+json, in the same words as the API, for
// what is not one of its operations.
func WriteProblem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(huma.ErrorModel{Type: problemType(status), Title: http.StatusText(status), Status: status, Detail: detail})
}

// methods are those that an address may have.
var methods = []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

// nothingHere answers for all addresses under /api/ that nothing else serves. The mux
// sends wrong methods here as well, for this takes them all; it knows which are right.
func nothingHere(mux *http.ServeMux, version string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(versionHeader, version)
		var allowed []string
		for _, m := range methods {
			other := r.Clone(r.Context())
			other.Method = m
			if _, pattern := mux.Handler(other); pattern != "/api/" {
				allowed = append(allowed, m)
			}
		}
		if len(allowed) == 0 {
			WriteProblem(w, http.StatusNotFound, "The API has no such address. "+docsPath+" lists those it has.")
			return
		}
		allow := strings.Join(allowed, ", ")
		w.Header().Set("Allow", allow)
		WriteProblem(w, http.StatusMethodNotAllowed, fmt.Sprintf("%s is not for this address; it takes %s.", r.Method, allow))
	}
}
