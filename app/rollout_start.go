package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge"
)

// comparedAtMost bounds how many commits that hosts run are compared with the one to
// deploy. Each host judges for itself anyway; this only says so beforehand.
const comparedAtMost = 20

// RolloutRequest is a person's wish to bring a commit to hosts.
type RolloutRequest struct {
	Repo     fleet.Repo
	Ref      string // a commit, the beginning of its id, a branch or a tag; empty means the head of the default branch
	Hosts    string // selector; empty means the policy's
	AtOnce   bool   // without waves
	Backward bool   // also to hosts that run a later commit
	Force    bool   // also where the commit is in quarantine
	Reason   string
	Key      string // names the wish, see rolloutKey
}

// startPlan is what a wish to bring a commit to hosts comes to.
type startPlan struct {
	commit string
	deploy fleet.DeployPolicy // as the person wants it
	hosts  []fleet.Host       // that take part
	later  []string           // of these, those that run a later commit
}

// plan finds out what a wish comes to, without doing anything.
func (x rolloutActs) plan(ctx context.Context, q RolloutRequest) (startPlan, error) {
	var p startPlan
	state, err := x.a.branch(ctx, q.Repo)
	if err != nil {
		return p, err
	}
	if !state.Policy.Known() {
		return p, inTheWay("The policy can't be read, so nobody knows how to deploy: %s", state.Policy.Err)
	}
	if p.commit, err = x.commit(ctx, state, q.Ref); err != nil {
		return p, err
	}
	if p.deploy, p.hosts, err = x.picked(ctx, q, state.Policy.Value.Deploy); err != nil {
		return p, err
	}
	p.later, err = x.runLater(ctx, q.Repo, p.commit, p.hosts)
	return p, err
}

// Start begins a rollout.
func (x rolloutActs) Start(ctx context.Context, by fleet.Actor, q RolloutRequest) (fleet.Rollout, error) {
	key := rolloutKey(q.Key, "start", q.Repo.ID, q.Ref, q.Hosts, q.AtOnce, q.Backward, q.Force, q.Reason)
	if known, err := x.begun(ctx, by, key); known != nil || err != nil {
		return orNone(known), err
	}
	p, err := x.plan(ctx, q)
	if err != nil {
		return fleet.Rollout{}, err
	}
	n := db.NewRollout{
		ID: newID(x.a.cfg.Now()), Kind: fleet.RolloutDeploy, RepoID: q.Repo.ID, Commit: p.commit, Deploy: p.deploy, ByPerson: true, Force: q.Force,
		Reason: cmp.Or(q.Reason, "asked for by "+by.Login), Actor: by.Login,
	}
	switch {
	case len(p.later) > 0 && !q.Backward:
		return fleet.Rollout{}, inTheWay("%s later than %.7s. To take them back to it, say backward.", runs(p.later), p.commit)
	case len(p.later) > 0:
		n.Kind = fleet.RolloutBackward
	}
	n.Request = wish(by, "start", string(n.Kind), fmt.Sprint(q.Repo.ID), p.commit, q.Hosts, fmt.Sprint(q.AtOnce))
	return x.begin(ctx, n, key)
}

// commit finds the commit that is meant. Only what is on the default branch is deployed.
func (x rolloutActs) commit(ctx context.Context, b forge.BranchState, ref string) (string, error) {
	if ref == "" {
		return b.HeadSHA, nil
	}
	sha, err := x.a.forge.Resolve(ctx, b.Repo, ref)
	if errors.Is(err, forge.ErrNoCommit) {
		return "", fmt.Errorf("%w: %s has no commit %q", api.ErrInvalid, b.Repo.FullName(), shown(ref))
	}
	if err != nil {
		return "", err
	}
	on, err := x.a.forge.Leads(ctx, b.Repo, sha, b.HeadSHA)
	if err == nil && !on {
		err = fmt.Errorf("%w: %.7s is not on %s of %s; only what is there is deployed", api.ErrInvalid, sha, b.Repo.DefaultBranch, b.Repo.FullName())
	}
	return sha, err
}

// picked are the policy as the person wants it and the hosts that it picks.
func (x rolloutActs) picked(ctx context.Context, q RolloutRequest, deploy fleet.DeployPolicy) (fleet.DeployPolicy, []fleet.Host, error) {
	hosts, err := x.hosts(ctx, q.Repo.ID)
	if err != nil {
		return deploy, nil, err
	}
	deploy.Hosts = cmp.Or(q.Hosts, deploy.Hosts)
	if q.AtOnce {
		deploy.Waves, deploy.MaxParallel = nil, max(1, len(hosts))
	}
	_, progress, err := fleet.MakePlan(deploy, hosts)
	if err != nil {
		return deploy, nil, fmt.Errorf("%w: %w", api.ErrInvalid, err)
	}
	if len(progress) == 0 {
		return deploy, nil, fmt.Errorf("%w: %q picks no host of %s that is enrolled and takes part in rollouts (mode fleet)",
			api.ErrInvalid, shown(deploy.Hosts), q.Repo.FullName())
	}
	return deploy, slices.DeleteFunc(hosts, func(h fleet.Host) bool {
		return !slices.ContainsFunc(progress, func(p fleet.HostProgress) bool { return p.Host == h.Name })
	}), nil
}

// runLater are the hosts that run a commit which comes after the one to deploy.
func (x rolloutActs) runLater(ctx context.Context, repo fleet.Repo, commit string, hosts []fleet.Host) ([]string, error) {
	later := map[string]bool{commit: false}
	var names []string
	for _, h := range hosts {
		runs := h.Facts.RunningCommit
		is, known := later[runs]
		if !known && fullSHA.MatchString(runs) && len(later) <= comparedAtMost {
			var err error
			is, err = x.a.forge.Leads(ctx, repo, commit, runs)
			if err != nil && !errors.Is(err, forge.ErrNoCommit) {
				return nil, err
			}
			later[runs] = is
		}
		if is {
			names = append(names, h.Name)
		}
	}
	return names, nil
}

// runs begins a sentence about hosts and the commits that they run.
func runs(names []string) string {
	const few = 5
	switch n := len(names); {
	case n == 1:
		return names[0] + " runs a commit that is"
	case n > few:
		return fmt.Sprintf("%s and %d more hosts run commits that are", strings.Join(names[:few], ", "), n-few)
	default:
		return strings.Join(names, ", ") + " run commits that are"
	}
}
