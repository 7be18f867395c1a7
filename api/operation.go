package api

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// Tags group the operations, in the order of the page that lists them.
const (
	TagHosts     = "Hosts"
	TagUpdates   = "Updates"
	TagRollouts  = "Rollouts"
	TagOrders    = "Orders"
	TagPolicy    = "Policy"
	TagLocks     = "Locks"
	TagEvents    = "Events"
	TagReceivers = "Notifications"
	TagServer    = "Server"
	TagPeople    = "People"
)

// tags say what the groups are about.
func tags() []*huma.Tag {
	return []*huma.Tag{
		{Name: TagHosts, Description: "The machines of the fleet: what they run, how they are, and how they are treated."},
		{Name: TagUpdates, Description: "Pull requests that change only a lock file: every condition, and the buttons of a person."},
		{Name: TagRollouts, Description: "A commit on its way to hosts, in waves; how to steer it, and the commits that may not spread."},
		{Name: TagOrders, Description: "What single hosts were told to do, how far they are, and what they printed."},
		{Name: TagPolicy, Description: "The watched repositories and what rules them."},
		{Name: TagLocks, Description: "Locks that hosts make, which the server proves and commits (updates.strategy: host)."},
		{Name: TagEvents, Description: "What changes, as it changes."},
		{Name: TagReceivers, Description: "Who is told what happens, and what became of each message."},
		{Name: TagPeople, Description: "Who may do what, and who did what."},
		{Name: TagServer, Description: "The server itself: its version, its set-up, its health, and the keys that sign orders."},
	}
}

// needs marks an operation with the least role that may call it.
func needs(role string) map[string]any { return map[string]any{"role": role} }

// needsAndTells is needs for an operation whose answer holds a secret. Such an answer
// is never kept to answer a repetition.
func needsAndTells(role string) map[string]any { return map[string]any{"role": role, "secret": true} }

func secret(op *huma.Operation) bool { s, _ := op.Metadata["secret"].(bool); return s }

func roleOf(op *huma.Operation) string { r, _ := op.Metadata["role"].(string); return r }

// roleNote is where the description of the API holds an operation's least role.
const roleNote = "x-nixfleet-role"

// describe completes what an operation says of itself by what holds for all: the token
// and its role, the key of what may be repeated, the problems that it answers with, and
// an example of every body.
func describe(api *huma.OpenAPI, op *huma.Operation) {
	op.Security = []map[string][]string{{"token": {}}}
	if op.Extensions == nil {
		op.Extensions = map[string]any{}
	}
	op.Extensions[roleNote] = roleOf(op)
	if op.Method == http.MethodPost {
		describeKey(op)
	}
	delete(op.Responses, "default")
	for _, status := range problemsOf(op) {
		code := strconv.Itoa(status)
		if op.Responses[code] != nil {
			continue
		}
		k, _ := kindOf(status)
		op.Responses[code] = &huma.Response{Description: k.means, Content: map[string]*huma.MediaType{
			"application/problem+json": {Schema: api.Components.Schemas.Schema(problemModel, true, "Problem")},
		}}
	}
	exemplify(api.Components.Schemas, op)
}

// describeKey names the header with which a request may be repeated.
func describeKey(op *huma.Operation) {
	for _, p := range op.Parameters {
		if p.Name == keyHeader {
			return
		}
	}
	most := maxKey
	op.Parameters = append(op.Parameters, &huma.Param{
		Name: keyHeader, In: "header", Description: "Any text that names this request, at most " + strconv.Itoa(maxKey) +
			" characters. Repeated with the same key within a day, it is carried out once and answered alike.",
		Schema: &huma.Schema{Type: huma.TypeString, MaxLength: &most}, Example: "deploy-2026-11-26-a",
	})
}

// problemsOf are the problems that an operation may answer with.
func problemsOf(op *huma.Operation) []int {
	list := []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests, http.StatusInternalServerError}
	if strings.Contains(op.Path, "{") {
		list = append(list, http.StatusNotFound)
	}
	if op.RequestBody != nil {
		list = append(list, http.StatusBadRequest, http.StatusRequestEntityTooLarge)
	}
	if op.RequestBody != nil || len(op.Parameters) > 0 {
		list = append(list, http.StatusUnprocessableEntity)
	}
	if op.Method != http.MethodGet {
		list = append(list, http.StatusConflict)
	}
	slices.Sort(list)
	return list
}
