package agent

import (
	"errors"
	"io/fs"
	"maps"
	"slices"
	"sync"

	"github.com/nixfleet/nixfleet/agentbus"
)

// maxBuilt bounds how many closures the agent remembers the commit of.
const maxBuilt = 256

// The keys of Observation.Errors.
const (
	errFetch    = "fetch"
	errEvaluate = "evaluate"
	errBuild    = "build"
	errSwitch   = "switch"
)

// notes are what the agent has learned by work and cannot just look at: they
// survive a restart in the state directory.
type notes struct {
	Repo   string `json:"repo,omitempty"`
	Branch string `json:"branch,omitempty"`
	Attr   string `json:"attr,omitempty"`

	Git      gitFacts              `json:"git"`
	Lock     *agentbus.LockSummary `json:"lock,omitempty"`
	Expected evaluated             `json:"expected"`
	// Built says which commit a closure was built from, newest last. Two commits
	// may give the same closure; then the newer one counts.
	Built []evaluated `json:"built,omitempty"`
	// Change is the one that was found out last.
	Change *agentbus.Change `json:"change,omitempty"`
	// RebootInto is the closure whose activation wants a reboot first.
	RebootInto string            `json:"reboot_into,omitempty"`
	Renewal    renewal           `json:"renewal,omitzero"`
	Errors     map[string]string `json:"errors,omitempty"`
}

// evaluated is what a commit comes to for this host.
type evaluated struct {
	Commit string `json:"commit,omitempty"`
	Attr   string `json:"attr,omitempty"`
	Path   string `json:"path,omitempty"`
}

// notebook keeps the notes.
type notebook struct {
	mu    sync.Mutex
	path  string
	notes notes
}

func openNotebook(path string) (*notebook, error) {
	n := &notebook{path: path}
	err := readJSON(path, &n.notes)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return n, err
}

// get is a copy that later updates do not touch.
func (n *notebook) get() notes {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := n.notes
	c.Built = slices.Clone(c.Built)
	c.Errors = maps.Clone(c.Errors)
	return c
}

// update changes the notes and writes them down.
func (n *notebook) update(change func(*notes)) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	change(&n.notes)
	return writeJSON(n.path, n.notes)
}

// built remembers that e.Path was built from e.Commit.
func (n *notes) built(e evaluated) {
	n.Built = slices.DeleteFunc(n.Built, func(b evaluated) bool { return b.Path == e.Path })
	n.Built = append(n.Built, e)
	n.Built = n.Built[max(0, len(n.Built)-maxBuilt):]
}

// commitOf is the commit that path was built from, or "" where the agent did not
// build it.
func (n *notes) commitOf(path string) string {
	for _, b := range n.Built {
		if b.Path == path && path != "" {
			return b.Commit
		}
	}
	return ""
}

// failed notes the last failure of a step; a nil error clears it.
func (n *notes) failed(step string, err error) {
	if err == nil {
		delete(n.Errors, step)
		return
	}
	if n.Errors == nil {
		n.Errors = map[string]string{}
	}
	n.Errors[step] = clip(err.Error(), 1000)
}
