package forge

import (
	"context"
	"fmt"

	"github.com/nixfleet/nixfleet/fleet"
)

// ProposalFacts reads what a proposed lock is judged by, as [Forge.Snapshot] does for
// a pull request. Policy and head are those of the default branch now; the lock before
// is that of the commit that the proposal was made from.
func (f *Forge) ProposalFacts(ctx context.Context, p fleet.Proposal, lock []byte, kept Kept) (fleet.ProposalFacts, error) {
	facts := fleet.ProposalFacts{Proposal: p}
	op := fmt.Sprintf("read what the lock for %s is judged by", p.Repo.FullName())
	c, err := f.as(ctx, reader, p.Repo)
	if err != nil {
		return facts, fmt.Errorf("%s: %w", op, err)
	}
	state, err := c.repository(ctx, p.Repo)
	if err != nil {
		return facts, err
	}
	l := &look{client: c, repo: state.Repo, kept: kept, s: fleet.Snapshot{Repo: state.Repo, OwnAppID: f.config.AppID}}
	l.readBase(ctx)
	facts.Head = reading(l, "GET /repos/"+l.repo.FullName()+"/branches/"+l.repo.DefaultBranch, l.base.Commit.SHA, l.base.err)
	now := c.now()
	l.s.MergeBase = fleet.Known(p.BaseSHA, "the proposal", now)
	l.s.Files = fleet.Known([]fleet.ChangedFile{{Path: p.Path, Status: "modified"}}, "the proposal", now)
	if l.fatal == nil {
		l.stage(ctx, l.readPolicy,
			func(ctx context.Context) {
				if facts.Head.Known() && facts.Head.Value != p.BaseSHA {
					facts.Since = l.readSince(ctx, p.BaseSHA, facts.Head.Value)
				}
			},
			func(ctx context.Context) {
				modes, err := l.modes(ctx, l.repo, p.BaseSHA, []string{p.Path})
				l.s.Modes = reading(l, fmt.Sprintf("GET /repos/%s/git/trees/%.7s", l.repo.FullName(), p.BaseSHA), modes, err)
			},
			func(ctx context.Context) {
				base, err := l.content(ctx, l.repo, p.Path, p.BaseSHA, maxLock)
				l.s.Locks = map[string]fleet.Reading[fleet.LockPair]{
					p.Path: reading(l, fmt.Sprintf("GET /repos/%s/contents/%s", l.repo.FullName(), p.Path), fleet.LockPair{Base: base, Head: lock}, err),
				}
			})
		l.stage(ctx, l.readCommits, l.readLineages)
	}
	if ctx.Err() != nil {
		return facts, fmt.Errorf("%s: %w", op, context.Cause(ctx))
	}
	if l.fatal != nil {
		return facts, l.fatal
	}
	facts.Snapshot = l.s
	return facts, nil
}

// readSince asks how the head of the default branch lies to an earlier commit of it.
func (l *look) readSince(ctx context.Context, from, head string) fleet.Reading[fleet.Lineage] {
	p, err := l.compare(ctx, l.repo, from, head)
	return reading(l, fmt.Sprintf("GET /repos/%s/compare/%.7s...%.7s", l.repo.FullName(), from, head), fleet.Lineage{Status: p.Status}, err)
}
