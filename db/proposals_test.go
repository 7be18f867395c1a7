package db_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

func TestAProposalIsJudgedAndEndedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sent := db.NewProposal{
		ID: "P1", Source: "order/1", RepoID: 7, Host: "web1", Actor: "ada", Reason: "weekly", Path: "flake.lock", BaseSHA: "bbb",
		Inputs: []string{"nixpkgs"}, Lock: []byte("{\x00}"),
	}
	for _, id := range []string{"P1", "P2"} { // the second is the same message once more
		sent.ID = id
		got, err := w.d.Propose(t.Context(), sent, w.now)
		if err != nil || got != "P1" {
			t.Fatalf("proposal %q, %v", got, err)
		}
	}
	claim := func() db.ProposalClaim {
		t.Helper()
		claims, err := w.d.ClaimProposals(t.Context(), w.now, lease, 10)
		must(t, err)
		if len(claims) != 1 {
			t.Fatalf("%d are due, want one", len(claims))
		}
		return claims[0]
	}
	c := claim()
	want := fleet.Proposal{
		ID: "P1", Repo: w.repo, Host: "web1", Actor: "ada", Reason: "weekly", Path: "flake.lock", BaseSHA: "bbb", Inputs: []string{"nixpkgs"},
		State: fleet.ProposalReceived, CreatedAt: w.now,
	}
	equal(t, "as it was received", c.Proposal, want)
	if string(c.Lock) != "{\x00}" || c.Attempt != 1 {
		t.Errorf("lock %q, attempt %d", c.Lock, c.Attempt)
	}
	if again, err := w.d.ClaimProposals(t.Context(), w.now, lease, 10); err != nil || len(again) != 0 {
		t.Errorf("claimed twice: %v, %v", again, err)
	}
	must(t, w.d.PostponeProposal(t.Context(), c, w.after(time.Second), "no answer"))
	conflict := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, db.ErrConflict) {
			t.Errorf("%s: %v, want a conflict", what, err)
		}
	}
	proven := fleet.ProposalVerdict{State: fleet.ProposalProven, Headline: "Proven.", Title: "t", Message: "m", Branch: "main"}
	conflict("without a lease", w.d.JudgeProposal(t.Context(), c, proven, w.now))
	conflict("not judged yet", w.d.EndProposal(t.Context(), "P1", db.ProposalEnd{State: fleet.ProposalCommitted}, w.now))
	lost := claim()
	w.after(lease)
	c = claim()
	conflict("by who lost the lease", w.d.JudgeProposal(t.Context(), lost, proven, w.now))
	must(t, w.d.JudgeProposal(t.Context(), c, proven, w.now))
	conflict("twice", w.d.JudgeProposal(t.Context(), c, proven, w.now))
	equal(t, "effects", w.effects(), []string{"lock:P1"})

	must(t, w.d.NoteProposalCommit(t.Context(), "P1", "ccc"))
	must(t, w.d.NoteProposalCommit(t.Context(), "P1", "ccc"))
	conflict("another commit", w.d.NoteProposalCommit(t.Context(), "P1", "ddd"))
	for sha, want := range map[string]bool{"ccc": true, "ddd": false, "": false} {
		if own, err := w.d.ProposedCommit(t.Context(), 7, sha); err != nil || own != want {
			t.Errorf("commit %q is ours: %v, %v", sha, own, err)
		}
	}
	if _, lock, err := w.d.ProposalWithLock(t.Context(), "P1"); err != nil || len(lock) == 0 {
		t.Errorf("the lock of a proven one: %q, %v", lock, err)
	}
	conflict("back to where it came from", w.d.EndProposal(t.Context(), "P1", db.ProposalEnd{State: fleet.ProposalReceived}, w.now))
	_, err := w.d.ClaimRepos(t.Context(), w.now, 0, 10)
	must(t, err)
	must(t, w.d.EndProposal(t.Context(), "P1", db.ProposalEnd{State: fleet.ProposalCommitted, Found: "On main."}, w.now))
	conflict("ended twice", w.d.EndProposal(t.Context(), "P1", db.ProposalEnd{State: fleet.ProposalRefused}, w.now))
	conflict("a commit of an ended one", w.d.NoteProposalCommit(t.Context(), "P1", "ccc"))
	if due, err := w.d.ClaimRepos(t.Context(), w.now, lease, 10); err != nil || len(due) != 1 {
		t.Errorf("%d repositories are due (%v), want the one that got a commit", len(due), err)
	}
	want.State, want.Verdict, want.Found, want.CommitSHA, want.EndedAt = fleet.ProposalCommitted, proven, "On main.", "ccc", w.now
	got, lock, err := w.d.ProposalWithLock(t.Context(), "P1")
	must(t, err)
	equal(t, "in the end", got, want)
	if len(lock) != 0 {
		t.Error("the lock is kept for ever")
	}
	list, err := w.d.Proposals(t.Context(), 7, 10)
	must(t, err)
	equal(t, "list", list, []fleet.Proposal{want})
	var kinds []string
	events, err := w.d.History(t.Context(), 100)
	must(t, err)
	for _, e := range events {
		if e.Subject == "lock/P1" {
			kinds = append(kinds, e.Kind+" by "+e.Actor)
		}
	}
	equal(t, "history, newest first", strings.Join(kinds, ", "), "lock.committed by policy, lock.proven by policy, lock.received by ada")
	if _, err := w.d.Proposal(t.Context(), "P2"); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("no such proposal: %v", err)
	}
}
