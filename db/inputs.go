package db

import (
	"context"
	"errors"
	"fmt"

	"github.com/nixfleet/nixfleet/fleet"
)

// InputsUpdate is an order to update inputs, and how far it has come.
type InputsUpdate struct {
	Order    fleet.Order
	Repo     fleet.Repo
	Answer   []byte // the newest answer to the order, as it was sent; empty before there is one
	Proposal string // id of the proposal that its lock became; empty while it is none
	Waits    bool   // its lock is stored and about to be proposed
	Found    string // why its lock could not be proposed
}

// InputsUpdate reads an order to update inputs. Another order's id is ErrNotFound.
func (d *DB) InputsUpdate(ctx context.Context, id string) (InputsUpdate, error) {
	type row struct {
		fleet.Order
		InstallationID int64
		Owner          string
		RepoName       string
		DefaultBranch  string
		Answer         []byte
		Proposal       string
		Waits          bool
		Found          string
	}
	r, err := one[row](ctx, d.pool, `
		select `+orderColumns+`, r.installation_id, r.owner, r.name as repo_name, r.default_branch, coalesce(a.raw, '') as answer,
			coalesce(p.id, '') as proposal, exists (select from outbox e where e.key = 'propose:' || o.id) as waits,
			coalesce((select h.reason from history h where h.subject = 'order/' || o.id and h.kind = 'lock.unusable' order by h.id desc limit 1), '') as found
		from orders o join repos r on r.id = o.repo_id
		left join lock_proposals p on p.source = 'order/' || o.id
		left join lateral (select raw from answers where order_id = o.id order by seq desc limit 1) a on true
		where o.id = @id and o.kind = 'update_inputs'`, args{"id": id})
	if err != nil {
		return InputsUpdate{}, fmt.Errorf("read update of inputs %s: %w", id, err)
	}
	return InputsUpdate{
		Order: r.Order, Answer: r.Answer, Proposal: r.Proposal, Waits: r.Waits, Found: r.Found,
		Repo: fleet.Repo{ID: r.RepoID, Installation: r.InstallationID, Owner: r.Owner, Name: r.RepoName, DefaultBranch: r.DefaultBranch},
	}, nil
}

// UnusableLock puts into the history why the lock that a host sent is no proposal.
func (d *DB) UnusableLock(ctx context.Context, o fleet.Order, why string) error {
	err := remember(ctx, d.pool, Event{
		At: o.EndedAt, Actor: "host:" + o.Host, Kind: "lock.unusable", Subject: "order/" + o.ID, Reason: clip(why),
		Detail: map[string]any{"host": o.Host, "base_sha": o.Commit},
	})
	if err != nil {
		return fmt.Errorf("note the unusable lock of order %s: %w", o.ID, err)
	}
	return nil
}

// Ruled is what is known of a repository's default branch, as it was last read.
type Ruled struct {
	HeadSHA     string        `db:"head_sha"`
	Policy      *fleet.Policy // nil where it was never read
	PolicyError string
}

// Ruled reads the head of a repository and the policy there.
func (d *DB) Ruled(ctx context.Context, repoID int64) (Ruled, error) {
	r, err := one[Ruled](ctx, d.pool, `select head_sha, policy, policy_error from repos where id = @id`, args{"id": repoID})
	if err != nil && !errors.Is(err, ErrNotFound) {
		err = fmt.Errorf("read what rules repository %d: %w", repoID, err)
	}
	return r, err
}
