package app

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/flakelock"
	"github.com/nixfleet/nixfleet/fleet"
)

// inputsTTL is until when a host may begin to update inputs. Later, the branch has
// probably moved, and the lock would be in vain.
const inputsTTL = time.Hour

// orderSource is what a proposal is called the source of whose lock came with an answer.
func orderSource(order string) string { return "order/" + order }

// UpdateInputs orders a newer lock from one host. What can't be is api.ErrInvalid. The
// same key, where there is one, is the same wish.
func (a *App) UpdateInputs(ctx context.Context, by fleet.Actor, repo fleet.Repo, u api.UpdateInputs, key string) (fleet.Order, error) {
	rules, err := a.db.Ruled(ctx, repo.ID)
	if err != nil {
		return fleet.Order{}, err
	}
	file, err := lockFileOf(repo, rules, u.Path)
	if err != nil {
		return fleet.Order{}, err
	}
	host, err := a.hostForInputs(ctx, repo, u.Host)
	if err != nil {
		return fleet.Order{}, err
	}
	asked := SentLock{Path: file, BaseSHA: rules.HeadSHA, Inputs: u.Inputs, Lock: []byte("{}")}
	if err := asked.check(); err != nil {
		return fleet.Order{}, err
	}
	now := a.cfg.Now()
	o := a.newOrder(host, agentbus.KindUpdateInputs, fleet.Rollout{RepoID: repo.ID, Commit: rules.HeadSHA, Actor: by.Login, Reason: u.Reason}, now)
	o.ExpiresAt = now.Add(inputsTTL)
	o.Detail = fleet.OrderDetail{Inputs: u.Inputs, LockFile: file, AsPull: u.AsPull, Deploy: &rules.Policy.Deploy}
	once := db.OrderKey{Key: key, Sum: fmt.Sprintf("update inputs of %d: %+v", repo.ID, u)}
	issued, err := a.db.IssueOrdersOnce(ctx, by.Login, once, []fleet.Order{o}, now)
	if err != nil {
		return fleet.Order{}, fmt.Errorf("update inputs of %s: %w", repo.FullName(), err)
	}
	a.log.Info().Ctx(ctx).Str("host", host).Str("repo", repo.FullName()).Strs("inputs", u.Inputs).Str("by", by.Login).Msg("update of inputs asked for")
	return issued[0], nil
}

// lockFileOf says which lock file is to be updated, where policy has hosts do that.
func lockFileOf(repo fleet.Repo, rules db.Ruled, asked string) (string, error) {
	switch p := rules.Policy; {
	case rules.PolicyError != "":
		return "", fmt.Errorf("%w: the policy of %s can't be read, so nothing is updated: %s", api.ErrInvalid, repo.FullName(), rules.PolicyError)
	case p == nil || rules.HeadSHA == "":
		return "", fmt.Errorf("%w: %s has not been read yet. Try again in a minute", api.ErrInvalid, repo.FullName())
	case p.Updates.Strategy != "host":
		return "", fmt.Errorf("%w: the policy of %s has pull requests bring updates (updates.strategy: %s). Set updates.strategy: host to have hosts make them", api.ErrInvalid, repo.FullName(), p.Updates.Strategy)
	case asked != "":
		return asked, nil
	case len(p.Updates.Files) > 1:
		return "", fmt.Errorf("%w: %s has several lock files: name one of %s", api.ErrInvalid, repo.FullName(), strings.Join(p.Updates.Files, ", "))
	case len(p.Updates.Files) == 1:
		return p.Updates.Files[0], nil
	}
	return "flake.lock", nil
}

// hostForInputs is the host that was named, if it can, or else one that can.
func (a *App) hostForInputs(ctx context.Context, repo fleet.Repo, named string) (string, error) {
	hosts, err := a.db.Hosts(ctx)
	if err != nil {
		return "", err
	}
	now := a.cfg.Now()
	if named == "" {
		h, ok := fleet.PickForInputs(hosts, repo.ID, now)
		if !ok {
			return "", fmt.Errorf("%w: no host of %s is online, so none can make a new lock", api.ErrInvalid, repo.FullName())
		}
		return h.Name, nil
	}
	for _, h := range hosts {
		switch {
		case h.Name != named || h.RepoID != repo.ID:
			continue
		case h.EnrolledAt.IsZero() || !h.RevokedAt.IsZero():
			return "", fmt.Errorf("%w: host %s is not enrolled", api.ErrInvalid, named)
		case !h.Online(now):
			return "", fmt.Errorf("%w: host %s is offline. Name another one, or none for any that is online", api.ErrInvalid, named)
		}
		return named, nil
	}
	return "", fmt.Errorf("%w: %s has no host %q", api.ErrInvalid, repo.FullName(), shown(named))
}

// proposeSent makes a proposal of the lock that came with the answer to an order. Done
// twice, it is the same proposal. A lock that can't be read is a line of history.
func (a *App) proposeSent(ctx context.Context, order string) error {
	u, err := a.db.InputsUpdate(ctx, order)
	if errors.Is(err, db.ErrNotFound) {
		return nil // its repository is gone
	}
	if err != nil || u.Proposal != "" {
		return err
	}
	var answer agentbus.Answer
	err = json.Unmarshal(u.Answer, &answer)
	var lock []byte
	if err == nil {
		lock, err = unpack(answer.Lock)
	}
	if err != nil {
		err = fmt.Errorf("%w: the lock that %s sent can't be read: %w", api.ErrInvalid, u.Order.Host, err)
	} else {
		d := u.Order.Detail
		_, err = a.ProposeLock(ctx, fleet.Actor{Login: u.Order.Actor}, u.Repo, SentLock{
			Source: orderSource(order), Host: u.Order.Host, Path: d.LockFile, BaseSHA: u.Order.Commit,
			Inputs: d.Inputs, Lock: lock, Reason: u.Order.Reason, AsPull: d.AsPull,
		})
	}
	if !errors.Is(err, api.ErrInvalid) {
		return err
	}
	a.log.Warn().Ctx(ctx).Err(err).Str("host", u.Order.Host).Str("order", order).Msg("lock of a host is of no use")
	return a.db.UnusableLock(ctx, u.Order, err.Error())
}

// unpack reads a packed lock; a small one may unpack to any size.
func unpack(packed []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	lock, err := io.ReadAll(io.LimitReader(z, flakelock.MaxSize+1))
	if err == nil && len(lock) > flakelock.MaxSize {
		err = fmt.Errorf("it is larger than %d bytes", flakelock.MaxSize)
	}
	return lock, err
}
