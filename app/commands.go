package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge"
)

// The receipts of a command, in GitHub's words.
const (
	reactDone    = "+1"
	reactDenied  = "-1"
	reactRefused = "confused"
)

// react puts our receipt on a comment.
func (a *App) react(ctx context.Context, e about) error {
	u, err := a.db.Update(ctx, e.UpdateID)
	if err != nil {
		return err
	}
	return later(a.forge.React(ctx, u.Repo, e.Comment, e.Content))
}

// judgeComment decides what comes of a command in a comment. The webhook was only a
// hint: who wrote what is read from GitHub, and so is whether they may.
func (a *App) judgeComment(ctx context.Context, c db.RequestClaim) (db.RequestEnd, error) {
	ignored := func(why string) (db.RequestEnd, error) {
		return db.RequestEnd{Result: db.RequestIgnored, Why: why}, nil
	}
	said, err := a.forge.ReadComment(ctx, c.Repo, c.Comment)
	if errors.Is(err, forge.ErrNoComment) {
		return ignored("The comment was deleted.")
	}
	if err != nil {
		return db.RequestEnd{}, err
	}
	line, found := fleet.FindCommand(said.Body)
	switch {
	case said.Edited:
		return ignored("The comment was edited; only what stays as it was written counts.")
	case said.ViaApp || said.By.Type != "User" || said.By.ID != c.By.ID:
		return ignored("Only people give commands.")
	case !found:
		return ignored("There is no command in the comment.")
	}
	role, err := a.forge.Permission(ctx, c.Repo, said.By)
	if err != nil {
		return db.RequestEnd{}, err
	}
	if !forge.MayWrite(role) {
		return db.RequestEnd{Result: db.RequestDenied, Role: role, React: reactDenied, Why: fmt.Sprintf(
			"%s has the role %s on %s; this takes write, maintain or admin.", said.By.Login, role, c.Repo.FullName())}, nil
	}
	end, err := a.command(ctx, c, said, line)
	if err != nil {
		return end, err
	}
	end.Role = role
	done := end.Result == db.RequestAllowed
	end.React = reactRefused
	if done {
		end.React = reactDone
	}
	if end.Answer == nil {
		end.Answer = &fleet.Answer{Text: end.Why}
	}
	end.Answer.By, end.Answer.Command, end.Answer.At, end.Answer.Done = said.By, line, said.Created, done
	return end, nil
}

// command finds out what a command of somebody who may does now.
func (a *App) command(ctx context.Context, c db.RequestClaim, said forge.SaidComment, line string) (db.RequestEnd, error) {
	cmd, err := fleet.ParseCommand(line, said.Created)
	if err != nil {
		return void("Not understood: %v.", err), nil
	}
	u, err := a.db.Update(ctx, c.UpdateID)
	if err != nil {
		return db.RequestEnd{}, err
	}
	if u.HeadSHA == "" {
		return void("This pull request is not an update that NixFleet looks after."), nil
	}
	wish := c
	wish.At, wish.By, wish.SHA = said.Created, said.By, u.HeadSHA
	switch cmd.Verb {
	case "merge":
		if u.HeadSeen.Truncate(time.Second).After(said.Created) && !ended(u.State) {
			return void("The head moved to %.7s after that was written. Look at it, and ask again.", u.HeadSHA), nil
		}
		wish.Action = "merge"
		end := allow(wish, u)
		if end.Merge != nil && cmd.NoDeploy {
			end.Merge.Deploy, end.Why = false, fmt.Sprintf("Merge of head %.7s without a deploy is asked for.", u.HeadSHA)
		}
		return end, nil
	case "hold":
		wish.Action = "hold"
		end := allow(wish, u)
		if end.Hold != nil && !cmd.Until.IsZero() {
			end.Hold.Until, end.Why = cmd.Until, "It is held until "+cmd.Until.Format("2006-01-02 15:04 UTC")+"."
		}
		return end, nil
	case "unhold":
		wish.Action = "unhold"
		return allow(wish, u), nil
	case "deploy":
		return a.commandDeploy(ctx, u, said.By, cmd.Hosts)
	case "pause", "resume", "abort", "rollback":
		return a.commandRollout(ctx, u, said.By, cmd.Verb)
	case "status":
		return a.commandStatus(ctx, u)
	}
	return told("The commands are listed below.", fleet.CommandHelp()), nil
}

// told is an answer that changes nothing.
func told(why, text string) db.RequestEnd {
	return db.RequestEnd{Result: db.RequestAllowed, Why: why, Answer: &fleet.Answer{Text: text}}
}

// rolloutFor is the rollout of the update's merge, nil where there is none.
func (a *App) rolloutFor(ctx context.Context, u fleet.Update) (*fleet.Rollout, error) {
	if u.MergeSHA == "" {
		return nil, nil
	}
	return a.db.RolloutOf(ctx, u.Repo.ID, u.MergeSHA)
}

// commandRollout pauses, resumes, aborts or rolls back the rollout of the update's merge.
func (a *App) commandRollout(ctx context.Context, u fleet.Update, by fleet.Actor, verb string) (db.RequestEnd, error) {
	r, err := a.rolloutFor(ctx, u)
	if err != nil {
		return db.RequestEnd{}, err
	}
	if r == nil {
		return void("There is no rollout of this update."), nil
	}
	s, err := rolloutActs{a}.steer(ctx, by, *r, fleet.Verb(verb), fmt.Sprintf("%s in a comment on pull request #%d", verb, u.Number))
	if why, ok := errors.AsType[api.Refused](err); ok {
		return void("%s", why), nil
	}
	return db.RequestEnd{Result: db.RequestAllowed, Why: s.says, Move: s.move, Restore: s.restore}, err
}

// commandDeploy brings the merge commit to all hosts by a rollout, or to some now.
func (a *App) commandDeploy(ctx context.Context, u fleet.Update, by fleet.Actor, hosts []string) (db.RequestEnd, error) {
	if u.MergeSHA == "" {
		return void("It is not merged, so there is no commit to deploy. merge does both."), nil
	}
	reason := fmt.Sprintf("asked for on pull request #%d", u.Number)
	if len(hosts) > 0 {
		orders, err := a.deployOrders(ctx, by, DeployRequest{Hosts: hosts, Commit: u.MergeSHA, Reason: reason}, u.Repo.ID)
		if unknown, ok := errors.AsType[*unknownHostError](err); ok {
			return void("%v.", unknown), nil
		}
		return db.RequestEnd{Result: db.RequestAllowed, Orders: orders,
			Why: fmt.Sprintf("Deploy of %.7s to %s is ordered.", u.MergeSHA, strings.Join(hosts, ", "))}, err
	}
	r, err := a.rolloutFor(ctx, u)
	if err != nil {
		return db.RequestEnd{}, err
	}
	if r != nil {
		return a.commandAgain(ctx, by, *r, reason)
	}
	state, err := a.branch(ctx, u.Repo)
	if err != nil {
		return db.RequestEnd{}, err
	}
	if !state.Policy.Known() {
		return void("The policy can't be read: %s", state.Policy.Err), nil
	}
	n := newRollout(u.Repo, u.MergeSHA, state.Policy.Value.Deploy, a.cfg.Now())
	n.Reason, n.Actor = reason, by.Login
	return db.RequestEnd{Result: db.RequestAllowed, Deploy: n, Why: fmt.Sprintf("A rollout of %.7s is started.", u.MergeSHA)}, nil
}

// commandAgain brings the merge commit to the hosts that its rollout did not bring it to.
func (a *App) commandAgain(ctx context.Context, by fleet.Actor, r fleet.Rollout, reason string) (db.RequestEnd, error) {
	n, err := rolloutActs{a}.retried(ctx, by, r, reason)
	if _, ok := errors.AsType[api.Refused](err); ok {
		return void("There is a rollout of %.7s already; it is %s. %v Name hosts to deploy to them once more.", r.Commit, words(r.State), err), nil
	}
	return db.RequestEnd{Result: db.RequestAllowed, Deploy: &n,
		Why: fmt.Sprintf("The rollout of %.7s is tried again for %s.", r.Commit, strings.Join(n.Only, ", "))}, err
}

// commandStatus says where the update is.
func (a *App) commandStatus(ctx context.Context, u fleet.Update) (db.RequestEnd, error) {
	r, err := a.rolloutFor(ctx, u)
	if err != nil {
		return db.RequestEnd{}, err
	}
	lines := []string{fmt.Sprintf("%s: %s", u.State, u.Verdict.Headline)}
	for _, c := range u.Verdict.Conditions {
		if open := c.Outcome == fleet.Waiting || c.Outcome == fleet.Refused || c.Outcome == fleet.Unread; open && !ended(u.State) {
			lines = append(lines, fmt.Sprintf("%s (%s): %s", c.Title, c.Outcome, c.Found))
		}
	}
	if r != nil {
		done, failed, skipped, total := fleet.Progress(*r)
		lines = append(lines, fmt.Sprintf("Rollout of %.7s is %s: %d of %d hosts done, %d failed, %d skipped.", r.Commit, r.State, done, total, failed, skipped))
	}
	return told("The status is told.", strings.Join(lines, "\n")), nil
}

// unknownHostError names a host that can't be given an order.
type unknownHostError struct{ name string }

func (e *unknownHostError) Error() string {
	return "no enrolled host of this repository has the name " + e.name
}

// deployOrders makes a deploy order for each host. With a repository id other than
// 0 all of them must build from it.
func (a *App) deployOrders(ctx context.Context, by fleet.Actor, d DeployRequest, repoID int64) ([]fleet.Order, error) {
	hosts, err := a.db.HostsNamed(ctx, d.Hosts)
	if err != nil {
		return nil, err
	}
	byName := make(map[string]fleet.Host, len(hosts))
	for _, h := range hosts {
		byName[h.Name] = h
	}
	repos, err := a.repoStates(ctx)
	if err != nil {
		return nil, err
	}
	now := a.cfg.Now()
	orders := make([]fleet.Order, 0, len(d.Hosts))
	for _, name := range d.Hosts {
		h := byName[name]
		if h.EnrolledAt.IsZero() || !h.RevokedAt.IsZero() || repoID != 0 && h.RepoID != repoID {
			return nil, &unknownHostError{name}
		}
		o := a.newOrder(name, agentbus.KindDeploy, fleet.Rollout{RepoID: h.RepoID, Commit: d.Commit}, now)
		o.Actor, o.Reason, o.Detail.Deploy = by.Login, d.Reason, ownPolicy(repos[h.RepoID].Policy)
		orders = append(orders, o)
	}
	return orders, nil
}
