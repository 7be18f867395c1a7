package forge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/nixfleet/nixfleet/fleet"
)

const (
	// DeploymentEnvironment names our deployments on the page of a repository.
	DeploymentEnvironment = "NixFleet"

	// maxDeploymentText is GitHub's limit for the description of a status, in
	// characters; bytes are never fewer.
	maxDeploymentText = 140

	// deploymentPages bounds the search for our deployment of one commit.
	deploymentPages = 3
)

// ErrNoDeployment says that GitHub will not have the deployment of a rollout: the
// App may not write any, the commit is gone, or somebody deleted it. Trying again
// does not help.
var ErrNoDeployment = errors.New("GitHub takes no deployment for this")

// Deployment is what GitHub shall show of one rollout.
type Deployment struct {
	ID      int64  // GitHub's; 0: not made yet, as far as we know
	Rollout string // id of the rollout, kept in the deployment's payload
	SHA     string
	State   string // GitHub's word: queued, in_progress, success, failure, error or inactive
	Said    string // one sentence
	LogURL  string // page of the rollout
}

// deploymentStates are GitHub's words for the states of a rollout. A halt and an
// abort ended it from outside, which is what GitHub calls an error.
var deploymentStates = map[fleet.RolloutState]string{
	fleet.RolloutPlanned:     "queued",
	fleet.RolloutRunning:     "in_progress",
	fleet.RolloutPaused:      "in_progress",
	fleet.RolloutRollingBack: "in_progress",
	fleet.RolloutSucceeded:   "success",
	fleet.RolloutFailed:      "failure",
	fleet.RolloutRolledBack:  "failure",
	fleet.RolloutHalted:      "error",
	fleet.RolloutAborted:     "error",
	fleet.RolloutSuperseded:  "inactive",
}

// DeploymentFor is what GitHub shall show of a rollout whose page is at logURL.
func DeploymentFor(r fleet.Rollout, logURL string) Deployment {
	said := r.Headline
	if said == "" {
		said = "The rollout is " + string(r.State) + "."
	}
	return Deployment{
		Rollout: r.ID, SHA: r.Commit, State: deploymentStates[r.State], Said: oneLine(said, maxDeploymentText), LogURL: logURL,
	}
}

// deploymentPayload is a deployment as far as we read it.
type deploymentPayload struct {
	ID          int64  `json:"id"`
	SHA         string `json:"sha"`
	Environment string `json:"environment"`
	Payload     any    `json:"payload"` // an object where we wrote it, else anything
	Via         *struct {
		ID int64 `json:"id"`
	} `json:"performed_via_github_app"`
}

// rolloutKey names our rollout in the payload of a deployment.
const rolloutKey = "nixfleet_rollout"

// of reports whether the deployment is this App's for a rollout.
func (p deploymentPayload) of(app int64, d Deployment) bool {
	payload, _ := p.Payload.(map[string]any)
	return payload[rolloutKey] == d.Rollout && p.Environment == DeploymentEnvironment && p.SHA == d.SHA && (p.Via == nil || p.Via.ID == app)
}

// MakeDeployment makes the deployment of a rollout, or finds the one that an earlier
// attempt made whose answer was lost, and returns its id. It names no state: see
// [Forge.SetDeployment]. What will never do is ErrNoDeployment.
func (f *Forge) MakeDeployment(ctx context.Context, repo fleet.Repo, d Deployment) (int64, error) {
	op := fmt.Sprintf("make deployment of %.7s in %s", d.SHA, repo.FullName())
	if !isSHA(d.SHA) || d.Rollout == "" {
		return 0, fmt.Errorf("%s: no commit or no rollout", op)
	}
	c, err := f.as(ctx, talker, repo)
	if err != nil {
		return 0, noDeployment(op, err)
	}
	path, err := repoPath(repo, "/deployments?sha="+d.SHA+"&environment="+url.QueryEscape(DeploymentEnvironment))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", op, err)
	}
	lists, err := pages[[]deploymentPayload](ctx, c, op, path, deploymentPages)
	if err != nil {
		return 0, noDeployment(op, err)
	}
	for _, known := range slices.Concat(lists...) {
		if known.ID > 0 && known.of(f.config.AppID, d) {
			return known.ID, nil
		}
	}
	// No contexts and no merge: whether the commit may be deployed was decided here.
	a, err := c.write(ctx, repo, call{op: op, method: http.MethodPost, in: map[string]any{
		"ref": d.SHA, "task": "deploy", "environment": DeploymentEnvironment, "description": "NixFleet brings it to the hosts",
		"auto_merge": false, "required_contexts": []string{}, "payload": map[string]string{rolloutKey: d.Rollout},
	}}, "/deployments")
	if err != nil {
		return 0, noDeployment(op, err)
	}
	var made deploymentPayload
	return made.ID, decodeID(op, a, &made, &made.ID)
}

// SetDeployment brings the deployment d.ID to its state, unless that is its newest
// status already. A success makes GitHub mark earlier ones inactive.
func (f *Forge) SetDeployment(ctx context.Context, repo fleet.Repo, d Deployment) error {
	op := fmt.Sprintf("set deployment %d of %s to %s", d.ID, repo.FullName(), d.State)
	c, err := f.as(ctx, talker, repo)
	if err != nil {
		return noDeployment(op, err)
	}
	rest := fmt.Sprintf("/deployments/%d/statuses", d.ID)
	path, err := repoPath(repo, rest+"?per_page=1")
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	newest, err := get[[]struct {
		State string `json:"state"`
		Said  string `json:"description"`
	}](ctx, c, op, path)
	if err != nil {
		return noDeployment(op, err)
	}
	said := cut(d.Said, maxDeploymentText)
	if len(newest) > 0 && newest[0].State == d.State && newest[0].Said == said {
		return nil
	}
	in := map[string]any{"state": d.State, "description": said, "environment": DeploymentEnvironment, "auto_inactive": true}
	if u, err := url.Parse(d.LogURL); err == nil && u.Host != "" {
		in["log_url"] = d.LogURL
	}
	_, err = c.write(ctx, repo, call{op: op, method: http.MethodPost, in: in}, rest)
	return noDeployment(op, err)
}

// noDeployment tells apart what will never do.
func noDeployment(op string, err error) error {
	switch code := codeOf(err); {
	case code == http.StatusForbidden, code == http.StatusNotFound, code == http.StatusGone,
		code == http.StatusConflict, code == http.StatusUnprocessableEntity:
		return fmt.Errorf("%s: %w: %s", op, ErrNoDeployment, plain(err))
	}
	return err
}
