package db

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nixfleet/nixfleet/fleet"
)

// NewProposal is a lock that was sent to us.
type NewProposal struct {
	ID string // a ULID
	// Source names what the lock came from: the same source, sent again, is the same
	// proposal. A host's order has an id; empty means that there is none.
	Source  string
	RepoID  int64
	Host    string // empty where a person made it
	Actor   string
	Reason  string
	Path    string
	BaseSHA string
	Inputs  []string
	AsPull  bool
	Lock    []byte
}

// ProposalClaim is a proposal handed out to be judged.
type ProposalClaim struct {
	Proposal fleet.Proposal
	Lock     []byte
	Attempt  int // claims since it was received, this one included

	fence int64
}

type proposalRow struct {
	ID             string
	RepoID         int64
	InstallationID int64
	Owner          string
	RepoName       string
	DefaultBranch  string
	Host           string
	Actor          string
	Reason         string
	Path           string
	BaseSHA        string `db:"base_sha"`
	Inputs         []string
	AsPull         bool
	State          fleet.ProposalState
	Verdict        fleet.ProposalVerdict
	Found          string
	CommitSHA      string `db:"commit_sha"`
	Number         int
	CreatedAt      time.Time
	EndedAt        time.Time
	Lock           []byte
	Attempt        int
	Fence          int64
}

const (
	proposalColumns = `q.id, q.repo_id, r.installation_id, r.owner, r.name as repo_name, r.default_branch, q.host, q.actor, q.reason,
	q.path, q.base_sha, q.inputs, q.as_pull, q.state, q.verdict, q.found, q.commit_sha, q.number, q.created_at, q.ended_at,
	q.attempt, q.fence`
	proposalJoins = ` join repos r on r.id = q.repo_id `
)

func (r proposalRow) proposal() fleet.Proposal {
	return fleet.Proposal{
		ID:   r.ID,
		Repo: fleet.Repo{ID: r.RepoID, Installation: r.InstallationID, Owner: r.Owner, Name: r.RepoName, DefaultBranch: r.DefaultBranch},
		Host: r.Host, Actor: r.Actor, Reason: r.Reason, Path: r.Path, BaseSHA: r.BaseSHA, Inputs: r.Inputs, AsPull: r.AsPull,
		State: r.State, Verdict: r.Verdict, Found: r.Found, CommitSHA: r.CommitSHA, Number: r.Number, CreatedAt: r.CreatedAt, EndedAt: r.EndedAt,
	}
}

// Propose stores a lock, due to be judged, and returns the proposal's id: that of the
// first time, where the same source was stored before.
func (d *DB) Propose(ctx context.Context, p NewProposal, now time.Time) (string, error) {
	if p.Source == "" {
		p.Source = p.ID
	}
	sum := sha256.Sum256(p.Lock)
	id := p.ID
	err := d.tx(ctx, func(tx pgx.Tx) error {
		err := guarded(ctx, tx, `
			insert into lock_proposals (id, source, repo_id, host, actor, reason, path, base_sha, inputs, as_pull, lock, lock_sum, state, created_at, due_at)
			values (@id, @source, @repo, @host, @actor, @reason, @path, @base, @inputs, @as_pull, @lock, @sum, 'received', @now, @now)
			on conflict (source) do nothing`,
			args{
				"id": p.ID, "source": p.Source, "repo": p.RepoID, "host": p.Host, "actor": p.Actor, "reason": clip(p.Reason), "path": p.Path,
				"base": p.BaseSHA, "inputs": p.Inputs, "as_pull": p.AsPull, "lock": nonNil(p.Lock), "sum": sum[:], "now": now,
			})
		if errors.Is(err, ErrConflict) {
			id, err = value[string](ctx, tx, `select id from lock_proposals where source = @source`, args{"source": p.Source})
			return err
		}
		if err != nil {
			return err
		}
		id = p.ID
		if err := remember(ctx, tx, Event{
			At: now, Actor: p.Actor, Kind: "lock.received", Subject: "lock/" + p.ID, Reason: clip(p.Reason),
			Detail: map[string]any{"repo_id": p.RepoID, "host": p.Host, "path": p.Path, "base_sha": p.BaseSHA, "sha256": fmt.Sprintf("%x", sum)},
		}); err != nil {
			return err
		}
		return d.notify(ctx, tx)
	})
	if err != nil {
		return "", fmt.Errorf("store a proposed lock: %w", err)
	}
	return id, nil
}

// ClaimProposals hands out up to n proposals that wait to be judged and whose
// repository we may act for. They stay out of sight of other workers until the lease
// has run out.
func (d *DB) ClaimProposals(ctx context.Context, now time.Time, lease time.Duration, n int) ([]ProposalClaim, error) {
	rows, err := all[proposalRow](ctx, d.pool, `
		with due as (
			select p.id from lock_proposals p join repos r on r.id = p.repo_id
			where p.due_at <= @now and (p.lease_until is null or p.lease_until <= @now) and `+watched+`
			order by p.due_at limit @n for update of p skip locked
		), q as (
			update lock_proposals set due_at = @until, lease_until = @until, fence = fence + 1, attempt = attempt + 1
			from due where lock_proposals.id = due.id
			returning lock_proposals.*
		)
		select `+proposalColumns+`, q.lock from q `+proposalJoins+` order by q.id`,
		args{"now": now, "until": now.Add(lease), "n": n})
	if err != nil {
		return nil, fmt.Errorf("claim proposed locks: %w", err)
	}
	claims := make([]ProposalClaim, len(rows))
	for i, r := range rows {
		claims[i] = ProposalClaim{Proposal: r.proposal(), Lock: r.Lock, Attempt: r.Attempt, fence: r.Fence}
	}
	return claims, nil
}

// PostponeProposal gives a claim back without a judgement, with the reason, to be
// judged again at the given time.
func (d *DB) PostponeProposal(ctx context.Context, c ProposalClaim, again time.Time, why string) error {
	err := guarded(ctx, d.pool, `
		update lock_proposals set lease_until = null, due_at = @again, found = @why
		where id = @id and fence = @fence and lease_until is not null`,
		args{"id": c.Proposal.ID, "fence": c.fence, "again": again, "why": clip(why)})
	if err != nil {
		return fmt.Errorf("postpone proposed lock %s: %w", c.Proposal.ID, err)
	}
	return nil
}

// JudgeProposal stores what a claimed proposal was judged to be, and asks for its
// commit where it is proven. ErrConflict means that the lease had run out.
func (d *DB) JudgeProposal(ctx context.Context, c ProposalClaim, v fleet.ProposalVerdict, now time.Time) error {
	err := d.tx(ctx, func(tx pgx.Tx) error {
		err := guarded(ctx, tx, `
			update lock_proposals set state = @to, verdict = @verdict, found = @found, lease_until = null, due_at = null,
				ended_at = case when @ended then @now::timestamptz end, lock = case when @ended then ''::bytea else lock end
			where id = @id and fence = @fence and lease_until is not null and state = 'received'`,
			args{"id": c.Proposal.ID, "fence": c.fence, "to": v.State, "verdict": v, "found": clip(v.Headline), "ended": v.State.Terminal(), "now": now})
		if err != nil {
			return err
		}
		if v.State == fleet.ProposalProven {
			if err := putEffects(ctx, tx, now, lockEffect(c.Proposal.ID)); err != nil {
				return err
			}
		}
		return d.proposalMoved(ctx, tx, c.Proposal, v.State, v.Headline, now)
	})
	if err != nil {
		return fmt.Errorf("store the judgement of proposed lock %s: %w", c.Proposal.ID, err)
	}
	return nil
}

func (d *DB) proposalMoved(ctx context.Context, tx pgx.Tx, p fleet.Proposal, to fleet.ProposalState, found string, now time.Time) error {
	actor := p.Actor
	if to != fleet.ProposalReceived {
		actor = "policy"
	}
	if err := remember(ctx, tx, Event{
		At: now, Actor: actor, Kind: "lock." + string(to), Subject: "lock/" + p.ID, Reason: found,
		Detail: map[string]any{
			"from": p.State, "repo": p.Repo.FullName(), "host": p.Host, "path": p.Path, "base_sha": p.BaseSHA, "asked_by": p.Actor,
			"commit": p.CommitSHA, "number": p.Number,
		},
	}); err != nil {
		return err
	}
	return d.notify(ctx, tx)
}

// NoteProposalCommit stores the commit that was made of a proven proposal, before any
// branch points to it: whoever takes up after a crash looks for exactly that one.
func (d *DB) NoteProposalCommit(ctx context.Context, id, sha string) error {
	err := guarded(ctx, d.pool, `
		update lock_proposals set commit_sha = @sha where id = @id and state = 'proven' and commit_sha in ('', @sha)`,
		args{"id": id, "sha": sha})
	if err != nil {
		return fmt.Errorf("note commit %s of proposed lock %s: %w", short(sha), id, err)
	}
	return nil
}

// ProposalEnd is what became of a proven proposal.
type ProposalEnd struct {
	State  fleet.ProposalState
	Found  string
	Number int // of the pull request
}

// EndProposal ends a proven proposal. What is on the default branch now is looked at
// as any push is. One that is not proven, or not any more, is ErrConflict.
func (d *DB) EndProposal(ctx context.Context, id string, end ProposalEnd, now time.Time) error {
	err := d.tx(ctx, func(tx pgx.Tx) error {
		p, err := one[proposalRow](ctx, tx, `
			select `+proposalColumns+`, ''::bytea as lock from lock_proposals q `+proposalJoins+` where q.id = @id for update of q`, args{"id": id})
		if err != nil {
			return err
		}
		if p.State != fleet.ProposalProven || !fleet.LegalProposal(p.State, end.State) {
			return fmt.Errorf("%w: it is %s", ErrConflict, p.State)
		}
		if _, err := tx.Exec(ctx, `
			update lock_proposals set state = @to, found = @found, number = @number, ended_at = @now, lock = '' where id = @id`,
			args{"id": id, "to": end.State, "found": clip(end.Found), "number": end.Number, "now": now}); err != nil {
			return err
		}
		if end.State == fleet.ProposalCommitted {
			if err := wakeRepo(ctx, tx, p.RepoID, now); err != nil {
				return err
			}
		}
		was := p.proposal()
		was.Number = end.Number
		return d.proposalMoved(ctx, tx, was, end.State, end.Found, now)
	})
	if err != nil {
		return fmt.Errorf("end proposed lock %s: %w", id, err)
	}
	return nil
}

// Proposal reads one proposal.
func (d *DB) Proposal(ctx context.Context, id string) (fleet.Proposal, error) {
	p, _, err := d.ProposalWithLock(ctx, id)
	return p, err
}

// ProposalWithLock reads one proposal with its lock, which is empty once it ended.
func (d *DB) ProposalWithLock(ctx context.Context, id string) (fleet.Proposal, []byte, error) {
	r, err := one[proposalRow](ctx, d.pool, `
		select `+proposalColumns+`, q.lock from lock_proposals q `+proposalJoins+` where q.id = @id`, args{"id": id})
	if err != nil {
		return fleet.Proposal{}, nil, fmt.Errorf("read proposed lock %s: %w", id, err)
	}
	return r.proposal(), r.Lock, nil
}

// Proposals lists the newest proposals of a repository, newest first.
func (d *DB) Proposals(ctx context.Context, repoID int64, limit int) ([]fleet.Proposal, error) {
	rows, err := all[proposalRow](ctx, d.pool, `
		select `+proposalColumns+`, ''::bytea as lock from lock_proposals q `+proposalJoins+`
		where q.repo_id = @repo order by q.created_at desc, q.id desc limit @n`, args{"repo": repoID, "n": limit})
	if err != nil {
		return nil, fmt.Errorf("list proposed locks of repository %d: %w", repoID, err)
	}
	list := make([]fleet.Proposal, len(rows))
	for i, r := range rows {
		list[i] = r.proposal()
	}
	return list, nil
}

// ProposedCommit reports whether we made a commit ourselves, out of a proven lock that
// was not refused after all.
func (d *DB) ProposedCommit(ctx context.Context, repoID int64, sha string) (bool, error) {
	yes, err := value[bool](ctx, d.pool, `
		select exists (select from lock_proposals where repo_id = @repo and commit_sha = @sha and commit_sha <> ''
			and state in ('proven', 'opened', 'committed'))`,
		args{"repo": repoID, "sha": sha})
	if err != nil {
		return false, fmt.Errorf("look for the proposed lock of commit %s: %w", short(sha), err)
	}
	return yes, nil
}
