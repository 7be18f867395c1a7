package db

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nixfleet/nixfleet/fleet"
)

// NewRollout is a rollout that shall begin. What merges and pushes start is there once
// for each commit of a repository, however many reasons there are to start it; people
// may ask for more.
type NewRollout struct {
	ID       string            // a ULID
	Kind     fleet.RolloutKind // empty means deploy
	RepoID   int64
	UpdateID int64 // 0 when a push started it
	Commit   string
	Deploy   fleet.DeployPolicy // as it was when the rollout was asked for
	Only     []string           // of the hosts that Deploy picks, only these take part; none means all
	Reason   string
	Actor    string

	ByPerson bool
	Force    bool     // also where the commit is in quarantine
	Request  string   // names the person's wish: while a rollout of it goes on, it is not begun again
	Key      OrderKey // the same request, however late it is repeated, is the same rollout
}

// ErrQuarantined is wrapped by the refusal to deploy a commit that proved bad.
var ErrQuarantined = errors.New("the commit is in quarantine")

// StartRollout starts a rollout that a person asks for and returns its id, or that of
// the rollout which the same wish began before. A key that was used for another request is
// [ErrOtherRequest].
func (d *DB) StartRollout(ctx context.Context, n NewRollout, now time.Time) (id string, err error) {
	err = d.tx(ctx, func(tx pgx.Tx) error {
		if id, err = d.startRollout(ctx, tx, n, 0, now); err != nil {
			return err
		}
		return d.notify(ctx, tx)
	})
	if err != nil {
		return "", fmt.Errorf("start rollout of %s: %w", short(n.Commit), err)
	}
	return id, nil
}

// startRollout inserts a rollout, unless its commit has one or its wish began one, and
// makes the others of the repository look at what that means for them.
func (d *DB) startRollout(ctx context.Context, tx pgx.Tx, n NewRollout, updateID int64, now time.Time) (string, error) {
	n.UpdateID, n.Kind = cmp.Or(n.UpdateID, updateID), cmp.Or(n.Kind, fleet.RolloutDeploy)
	if n.ByPerson {
		if known, err := wished(ctx, tx, n, now); known != "" || err != nil {
			return known, err
		}
	}
	id, err := insertRollout(ctx, tx, n, "", now)
	if err != nil || id != n.ID {
		return id, err
	}
	return id, d.rolloutPlanned(ctx, tx, n, now)
}

// wished finds the rollout that a person's wish began before: the same request, or one
// for the same whose rollout goes on. Where there is none, the commit must not be in
// quarantine.
func wished(ctx context.Context, tx pgx.Tx, n NewRollout, now time.Time) (string, error) {
	if err := lockRollouts(ctx, tx, n.RepoID); err != nil {
		return "", err
	}
	if n.Key.Key != "" {
		if known, err := rolloutOfKey(ctx, tx, n.Actor, n.Key); !errors.Is(err, ErrNotFound) {
			return known, err
		}
	}
	known, err := value[string](ctx, tx, `
		select coalesce((select id from rollouts where repo_id = @repo and request = @request and @request <> ''
			and state in ('planned', 'running', 'paused') order by created_at desc, id desc limit 1), '')`,
		args{"repo": n.RepoID, "request": n.Request})
	if err != nil {
		return "", err
	}
	if known == "" && !n.Force {
		q, err := quarantined(ctx, tx, n.RepoID, n.Commit)
		if err != nil {
			return "", err
		}
		if q != "" {
			return "", fmt.Errorf("%w: %s", ErrQuarantined, q)
		}
	}
	if n.Key.Key != "" {
		return known, keepKey(ctx, tx, n, cmp.Or(known, n.ID), now)
	}
	return known, nil
}

// keepKey makes a key the name of a rollout.
func keepKey(ctx context.Context, tx pgx.Tx, n NewRollout, id string, now time.Time) error {
	tag, err := tx.Exec(ctx, `
		insert into order_requests (actor, key, sum, orders, at) values (@actor, @key, @sum, @ids, @now) on conflict do nothing`,
		args{"actor": n.Actor, "key": n.Key.Key, "sum": n.Key.Sum, "ids": []string{id}, "now": now})
	if err == nil && tag.RowsAffected() == 0 {
		err = ErrOtherRequest // for another repository, at this moment
	}
	return err
}

// RolloutOfKey finds the rollout that an earlier request began; ErrNotFound means that
// there was none, ErrOtherRequest that it asked for something else.
func (d *DB) RolloutOfKey(ctx context.Context, actor string, k OrderKey) (id string, err error) {
	return rolloutOfKey(ctx, d.pool, actor, k)
}

func rolloutOfKey(ctx context.Context, q querier, actor string, k OrderKey) (string, error) {
	r, err := requestOfKey(ctx, q, actor, k)
	if err != nil {
		return "", err
	}
	return r[0], nil
}

// insertRollout returns the id of the rollout: the new one's, or that of the one which
// the commit has.
func insertRollout(ctx context.Context, tx pgx.Tx, n NewRollout, restores string, now time.Time) (string, error) {
	id, err := value[string](ctx, tx, `
		insert into rollouts as known (id, kind, restores, repo_id, update_id, commit_sha, state, deploy, only_hosts, by_person, force, request,
			reason, actor, created_at, due_at)
		values (@id, @kind, nullif(@restores, ''), @repo, nullif(@update::bigint, 0), @commit, 'planned', @deploy, @only, @person, @force, @request,
			@reason, @actor, @now, @now)
		on conflict (repo_id, commit_sha) where kind = 'deploy' and not by_person
			do update set update_id = coalesce(known.update_id, excluded.update_id)
		returning id`,
		args{
			"id": n.ID, "kind": n.Kind, "restores": restores, "repo": n.RepoID, "update": n.UpdateID, "commit": n.Commit,
			"deploy": n.Deploy, "only": n.Only, "person": n.ByPerson, "force": n.Force, "request": n.Request,
			"reason": n.Reason, "actor": n.Actor, "now": now,
		})
	if err != nil {
		return "", fmt.Errorf("start rollout of %s: %w", short(n.Commit), err)
	}
	return id, nil
}

// rolloutPlanned does what follows from a new rollout.
func (d *DB) rolloutPlanned(ctx context.Context, tx pgx.Tx, n NewRollout, now time.Time) error {
	if err := wakeOtherRollouts(ctx, tx, n.RepoID, n.ID, now); err != nil {
		return err
	}
	if n.Kind != fleet.RolloutRestore { // GitHub knows no deployment that restores
		if err := putEffects(ctx, tx, now, deploymentEffect(n.ID)); err != nil {
			return err
		}
	}
	return remember(ctx, tx, Event{
		At: now, Actor: n.Actor, Kind: "rollout.planned", Subject: "rollout/" + n.ID, Reason: n.Reason,
		Detail: map[string]any{"commit": n.Commit, "repo_id": n.RepoID, "update_id": n.UpdateID, "kind": n.Kind},
	})
}
