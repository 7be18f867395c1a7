package handlers

import (
	"context"
	"fmt"
	"slices"

	"github.com/palantir/go-githubapp/githubapp"

	"github.com/nixfleet/nixfleet/fleet"
)

// catchAll is the name under which events without a handler of their own travel
// through the dispatcher. No event of GitHub's is called so.
const catchAll = "*"

// reader turns one payload into facts; app is our own App's id.
type reader func(event string, app int64, payload []byte) ([]fleet.Fact, error)

// readers is what every event means to us: one small file each.
var readers = map[string]reader{
	"check_run":                 checkRun,
	"check_suite":               checkSuite,
	"installation":              installation,
	"installation_repositories": installationRepositories,
	"issue_comment":             issueComment,
	"pull_request":              pullRequest,
	"pull_request_review":       pullRequest,
	"push":                      push,
	"repository":                repository,
	"status":                    status,
	"workflow_run":              workflowRun,
	catchAll:                    anything,
}

// registered holds the events that have a handler of their own.
var registered = func() map[string]bool {
	names := make(map[string]bool, len(readers))
	for name := range readers {
		names[name] = name != catchAll
	}
	return names
}()

// alwaysSent are the events that every App is sent; nobody can subscribe to them.
var alwaysSent = map[string]bool{"installation": true, "installation_repositories": true}

// Events are the names of the events that the App has to be subscribed to, sorted.
func Events() []string {
	var names []string
	for name := range readers {
		if registered[name] && !alwaysSent[name] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// handler makes a reader go-githubapp's EventHandler. Its facts go to the
// collector in the context, because Handle can return only an error.
type handler struct {
	event string
	app   int64
	read  reader
}

type collectorKey struct{}

// Handles names the one event of this handler.
func (h handler) Handles() []string { return []string{h.event} }

// Handle reads one payload.
func (h handler) Handle(ctx context.Context, event, _ string, payload []byte) error {
	facts, err := h.read(event, h.app, payload)
	if err != nil {
		return err
	}
	if into, ok := ctx.Value(collectorKey{}).(*[]fleet.Fact); ok {
		*into = append(*into, facts...)
	}
	return nil
}

// eventHandlers lists a handler for every event, for the App with this id.
func eventHandlers(app int64) []githubapp.EventHandler {
	list := make([]githubapp.EventHandler, 0, len(readers))
	for name, read := range readers {
		list = append(list, handler{event: name, app: app, read: read})
	}
	return list
}

// Interpreter turns stored deliveries into facts.
type Interpreter struct {
	AppID int64 // our own App: what its check runs report is our own echo
}

// Interpret runs the handler of a stored delivery. Events that nobody handles give
// no facts. A panic of a handler is returned as an error: one hostile payload must
// not stop the inbox.
func (i Interpreter) Interpret(event string, payload []byte) (facts []fleet.Fact, err error) {
	defer func() {
		if p := recover(); p != nil {
			facts, err = nil, fmt.Errorf("interpret %s: handler panicked: %v", event, p)
		}
	}()
	name := event
	if !registered[event] {
		name = catchAll
	}
	d := githubapp.Dispatch{
		Handler:   handler{event: name, app: i.AppID, read: readers[name]},
		EventType: event,
		Payload:   payload,
	}
	if err := d.Execute(context.WithValue(context.Background(), collectorKey{}, &facts)); err != nil {
		return nil, fmt.Errorf("interpret %s: %w", event, err)
	}
	return facts, nil
}

// anything is the catch-all: stored, but nothing follows.
func anything(string, int64, []byte) ([]fleet.Fact, error) { return nil, nil }
