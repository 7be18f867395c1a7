package app

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/flakelock"
	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge"
	"github.com/oklog/ulid/v2"
	"golang.org/x/sync/errgroup"
)

const (
	proposalsAtOnce = 4

	// proposalLooks is how often a proposed lock is judged while something can't be
	// read, before it is refused: the branch moves on meanwhile.
	proposalLooks = 4

	// proposalTTL is how long a lock is worth its commit, while GitHub gives no answer.
	proposalTTL = time.Hour

	// proposalAgain is how soon to go on with what another worker left.
	proposalAgain = 10 * time.Second
)

// SentLock is a lock as it is sent to us, by a host in answer to an order or by a
// person over the API.
type SentLock struct {
	Source  string // id of the host's order: sent again, it is the same proposal; empty for a person's
	Host    string // that made it; empty where a person did
	Path    string // of the lock file in the repository
	BaseSHA string // commit that it was made from
	Inputs  []string
	Lock    []byte
	Reason  string
	AsPull  bool // a pull request, also where policy has locks committed
}

var (
	fullSHA   = regexp.MustCompile(`^[0-9a-f]{40}$`)
	inputForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_'+.-]{0,99}$`)
)

// ProposeLock stores a lock that was sent and returns it as it was received. Whether
// it becomes a commit is judged afterwards; [db.DB.Proposal] tells. What could never
// be one is api.ErrInvalid.
func (a *App) ProposeLock(ctx context.Context, by fleet.Actor, repo fleet.Repo, l SentLock) (fleet.Proposal, error) {
	if err := l.check(); err != nil {
		return fleet.Proposal{}, err
	}
	if l.Host != "" {
		hosts, err := a.db.Hosts(ctx)
		if err != nil {
			return fleet.Proposal{}, err
		}
		if !slices.ContainsFunc(hosts, func(h fleet.Host) bool { return h.Name == l.Host && h.RepoID == repo.ID }) {
			return fleet.Proposal{}, fmt.Errorf("%w: %s has no host %q", api.ErrInvalid, repo.FullName(), l.Host)
		}
	}
	now := a.cfg.Now()
	id, err := a.db.Propose(ctx, db.NewProposal{
		ID: ulid.MustNew(ulid.Timestamp(now), ulid.DefaultEntropy()).String(), Source: l.Source, RepoID: repo.ID, Host: l.Host, Actor: by.Login,
		Reason: l.Reason, Path: l.Path, BaseSHA: l.BaseSHA, Inputs: l.Inputs, AsPull: l.AsPull, Lock: l.Lock,
	}, now)
	if err != nil {
		return fleet.Proposal{}, err
	}
	return a.db.Proposal(ctx, id)
}

func (l SentLock) check() error {
	parts := strings.Split(l.Path, "/")
	switch {
	case !fullSHA.MatchString(l.BaseSHA):
		return fmt.Errorf("%w: the base is %q; name the commit that the lock was made from by its 40 hex digits", api.ErrInvalid, shown(l.BaseSHA))
	case len(l.Path) > 1000 || slices.ContainsFunc(parts, func(p string) bool { return p == "" || p == "." || p == ".." }):
		return fmt.Errorf("%w: %q is no path of a file in a repository, like flake.lock", api.ErrInvalid, shown(l.Path))
	case len(l.Lock) == 0 || len(l.Lock) > flakelock.MaxSize:
		return fmt.Errorf("%w: the lock has %d bytes; it must have some, and at most %d", api.ErrInvalid, len(l.Lock), flakelock.MaxSize)
	case len(l.Inputs) > 200:
		return fmt.Errorf("%w: %d inputs were asked for; name at most 200, or none for all", api.ErrInvalid, len(l.Inputs))
	}
	for _, in := range l.Inputs {
		if !inputForm.MatchString(in) {
			return fmt.Errorf("%w: %q is no name of an input of flake.nix", api.ErrInvalid, shown(in))
		}
	}
	return nil
}

// shown is outside text short enough for an error.
func shown(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}

// workProposals judges the locks that were sent.
func (a *App) workProposals(ctx context.Context) (int, error) {
	claims, err := a.db.ClaimProposals(ctx, a.cfg.Now(), lease, proposalsAtOnce)
	if err != nil {
		return 0, err
	}
	var g errgroup.Group // each waits on GitHub; what befalls one must not cut short the others
	for _, c := range claims {
		g.Go(func() error { return taken(a.judgeProposal(ctx, c)) })
	}
	return len(claims), g.Wait()
}

func (a *App) judgeProposal(ctx context.Context, c db.ProposalClaim) error {
	v, err := a.proposalVerdict(ctx, c)
	if ctx.Err() != nil {
		return ctx.Err() // the lease runs out and it is due again
	}
	now := a.cfg.Now()
	log := a.log.With().Str("proposal", c.Proposal.ID).Str("repo", c.Proposal.Repo.FullName()).Str("host", c.Proposal.Host).Logger()
	again := now.Add(backoff(c.Attempt))
	switch {
	case err != nil && now.Sub(c.Proposal.CreatedAt) > proposalTTL:
		v = fleet.ProposalVerdict{State: fleet.ProposalRefused, Headline: fmt.Sprintf("Refused: for too long nothing could be read of it: %v.", err)}
	case err != nil:
		var limited *forge.RateLimited
		if errors.As(err, &limited) && limited.Until.After(again) {
			again = limited.Until
		}
		log.Warn().Err(err).Time("again", again).Msg("proposed lock not judged; it is tried again")
		return a.db.PostponeProposal(ctx, c, again, err.Error())
	case v.State == fleet.ProposalReceived && c.Attempt < proposalLooks:
		return a.db.PostponeProposal(ctx, c, again, v.Headline)
	case v.State == fleet.ProposalReceived:
		v = v.GivenUp()
	}
	if err := a.db.JudgeProposal(ctx, c, v, now); err != nil {
		return err
	}
	log.Info().Str("state", string(v.State)).Msg(v.Headline)
	return nil
}

func (a *App) proposalVerdict(ctx context.Context, c db.ProposalClaim) (fleet.ProposalVerdict, error) {
	kept, err := a.kept(ctx, c.Proposal.Repo.ID)
	if err != nil {
		return fleet.ProposalVerdict{}, err
	}
	facts, err := a.forge.ProposalFacts(ctx, c.Proposal, c.Lock, kept)
	if err != nil {
		return fleet.ProposalVerdict{}, err
	}
	now := a.cfg.Now()
	if facts.Recorded.InputsSeen, err = a.db.SeeInputs(ctx, fleet.InputsToSee(facts.Snapshot), now); err != nil {
		return fleet.ProposalVerdict{}, err
	}
	return fleet.JudgeProposal(facts, now), nil
}

// commitLock brings a proven lock to GitHub. The commit's id is stored before any
// branch points to it, so an attempt that comes after a crash, or after an answer that
// was lost, looks for exactly that commit before it does anything.
func (a *App) commitLock(ctx context.Context, id string) error {
	p, lock, err := a.db.ProposalWithLock(ctx, id)
	if err != nil || p.State != fleet.ProposalProven {
		return err
	}
	end, err := a.bring(ctx, p, lock)
	switch {
	case errors.Is(err, db.ErrConflict):
		// Another worker was faster, with a commit of its own. It may have died since,
		// so what it noted is gone on with.
		return &laterError{until: a.cfg.Now().Add(proposalAgain), why: "another worker made the commit of proposed lock " + id}
	case err != nil && ctx.Err() == nil && a.cfg.Now().Sub(p.CreatedAt) > proposalTTL:
		end = db.ProposalEnd{State: fleet.ProposalRefused, Found: fmt.Sprintf("It was given up, for GitHub gave no clear answer for too long: %v.", err)}
	case err != nil:
		return fmt.Errorf("commit proposed lock %s: %w", id, later(err))
	}
	if err := taken(a.db.EndProposal(ctx, id, end, a.cfg.Now())); err != nil {
		return err
	}
	a.log.Info().Ctx(ctx).Str("proposal", id).Str("repo", p.Repo.FullName()).Str("state", string(end.State)).Msg(end.Found)
	return nil
}

func (a *App) bring(ctx context.Context, p fleet.Proposal, lock []byte) (db.ProposalEnd, error) {
	v := p.Verdict
	if p.CommitSHA == "" {
		sha, err := a.forge.MakeCommit(ctx, p.Repo, forge.FileCommit{Parent: p.BaseSHA, Path: p.Path, Content: lock, Title: v.Title, Message: v.Message})
		if errors.Is(err, forge.ErrRefused) {
			return refusedEnd(err.Error()), nil
		}
		if err != nil {
			return db.ProposalEnd{}, err
		}
		if err := a.db.NoteProposalCommit(ctx, p.ID, sha); err != nil {
			return db.ProposalEnd{}, err
		}
		p.CommitSHA = sha
	}
	var l forge.Landing
	var err error
	if v.AsPull {
		l, err = a.forge.OpenPull(ctx, p.Repo, forge.NewPull{
			Branch: "nixfleet/lock-" + strings.ToLower(p.ID), Base: v.Branch, Parent: p.BaseSHA, SHA: p.CommitSHA,
			Title: v.Title, Body: "    " + strings.ReplaceAll(strings.TrimSpace(v.Message), "\n", "\n    ") + "\n",
		})
	} else {
		l, err = a.forge.Land(ctx, p.Repo, v.Branch, p.BaseSHA, p.CommitSHA)
	}
	switch {
	case err != nil:
		return db.ProposalEnd{}, err
	case l.Outcome == forge.LandingMoved:
		return db.ProposalEnd{State: fleet.ProposalConflicted, Found: fmt.Sprintf(
			"It was made from %.7s, and the branch has moved since (%s). Make the lock again from the new head.", p.BaseSHA, l.Message)}, nil
	case l.Outcome == forge.LandingRefused:
		return refusedEnd(l.Message), nil
	case v.AsPull:
		return db.ProposalEnd{State: fleet.ProposalOpened, Number: l.Number, Found: fmt.Sprintf("It is pull request #%d.", l.Number)}, nil
	}
	return db.ProposalEnd{State: fleet.ProposalCommitted, Found: fmt.Sprintf("It is on %s as %.7s.", v.Branch, p.CommitSHA)}, nil
}

// refusedEnd tells GitHub's refusal, and what helps against the usual ones.
func refusedEnd(message string) db.ProposalEnd {
	return db.ProposalEnd{State: fleet.ProposalRefused, Found: "GitHub took no commit: " + strings.TrimSuffix(strings.Join(strings.Fields(message), " "), ".") +
		". The App needs contents: write; where the branch takes only pull requests, propose the lock as one (updates.commit: pull_request)."}
}

// proposedHead tells whether the head of a pull request is a commit of our own.
func (a *App) proposedHead(ctx context.Context, snap fleet.Snapshot) (string, error) {
	if !snap.Pull.Known() || snap.Policy.Value.Updates.Strategy != "host" {
		return "", nil
	}
	head := snap.Pull.Value.HeadSHA
	own, err := a.db.ProposedCommit(ctx, snap.Repo.ID, head)
	if err != nil || !own {
		return "", err
	}
	return head, nil
}
