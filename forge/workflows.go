package forge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/nixfleet/nixfleet/fleet"
)

const (
	// workflowPages bounds the list of workflows: no repository has a thousand.
	workflowPages = 10

	// maxWorkflows bounds the files that are read to find the ones that update a lock.
	maxWorkflows = 50

	// maxWorkflow is the largest file of a workflow that is read, in bytes.
	maxWorkflow = 256 << 10
)

// ErrNotStarted says that GitHub does not start a workflow: the App may not, or the
// workflow takes inputs that nobody gave, or can't be started by hand.
var ErrNotStarted = errors.New("GitHub does not start the workflow")

// Workflow is a workflow of a repository that updates its locks and can be started by
// hand.
type Workflow struct {
	ID   int64
	Name string // as its file calls it
	Path string // of the file
}

// updatesLock is what steps say that make a new lock.
var updatesLock = regexp.MustCompile(`(?i)/update-flake-lock(\.ya?ml)?(@|$)|\bnix(\s+-\S+(\s+[^\s-]\S*)?)*\s+flake\s+(update|lock)\b`)

// UpdateWorkflows finds the workflows of the default branch that make a new lock and
// may be started by hand. What their files do is what tells; names are people's own.
func (f *Forge) UpdateWorkflows(ctx context.Context, repo fleet.Repo) ([]Workflow, error) {
	op := "list workflows of " + repo.FullName()
	c, err := f.as(ctx, reader, repo)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	where, err := repoPath(repo, "/actions/workflows")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	lists, err := pages[struct {
		Workflows []struct {
			ID    int64  `json:"id"`
			Name  string `json:"name"`
			Path  string `json:"path"`
			State string `json:"state"`
		} `json:"workflows"`
	}](ctx, c, op, where, workflowPages)
	if err != nil {
		return nil, err
	}
	head, err := c.branch(ctx, repo, repo.DefaultBranch)
	if err != nil {
		return nil, err
	}
	var found []Workflow
	read := 0
	for _, list := range lists {
		for _, w := range list.Workflows {
			if w.State != "active" || path.Dir(w.Path) != ".github/workflows" || read == maxWorkflows {
				continue // those of GitHub itself have no file
			}
			read++
			text, err := c.content(ctx, repo, w.Path, head.Commit.SHA, maxWorkflow)
			if codeOf(err) == http.StatusNotFound {
				continue // of another branch
			}
			if err != nil {
				return nil, err
			}
			if makesLock(text) {
				found = append(found, Workflow{ID: w.ID, Name: oneLine(w.Name, 100), Path: w.Path})
			}
		}
	}
	return found, nil
}

// makesLock reports whether a workflow makes a new lock and can be started by hand.
func makesLock(text []byte) bool {
	var file struct {
		On   any `yaml:"on"`
		Jobs map[string]struct {
			Uses  string `yaml:"uses"`
			Steps []struct {
				Uses string `yaml:"uses"`
				Run  string `yaml:"run"`
			} `yaml:"steps"`
		} `yaml:"jobs"`
	}
	if yaml.Unmarshal(text, &file) != nil || !byHand(file.On) {
		return false
	}
	for _, job := range file.Jobs {
		if updatesLock.MatchString(job.Uses) {
			return true
		}
		for _, s := range job.Steps {
			if updatesLock.MatchString(s.Uses) || updatesLock.MatchString(s.Run) {
				return true
			}
		}
	}
	return false
}

// byHand reports whether workflow_dispatch is among what starts a workflow, in any of
// the forms that GitHub takes.
func byHand(on any) bool {
	const dispatch = "workflow_dispatch"
	switch on := on.(type) {
	case string:
		return on == dispatch
	case []any:
		for _, event := range on {
			if event == dispatch {
				return true
			}
		}
	case map[string]any:
		_, ok := on[dispatch]
		return ok
	}
	return false
}

// StartWorkflow starts a workflow on the default branch. It starts one more each time
// that it is called. Where GitHub will not, the error is ErrNotStarted.
func (f *Forge) StartWorkflow(ctx context.Context, repo fleet.Repo, w Workflow) error {
	op := fmt.Sprintf("start workflow %s of %s", w.Path, repo.FullName())
	c, err := f.as(ctx, starter, repo)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	_, err = c.write(ctx, repo, call{op: op, method: http.MethodPost, in: map[string]string{"ref": repo.DefaultBranch}},
		fmt.Sprintf("/actions/workflows/%d/dispatches", w.ID))
	switch codeOf(err) {
	case http.StatusForbidden, http.StatusNotFound, http.StatusUnprocessableEntity:
		return fmt.Errorf("%s: %w: %s", op, ErrNotStarted, strings.TrimSuffix(plain(err), "."))
	}
	return err
}
