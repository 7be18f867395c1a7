package app

import (
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

func TestMergeIsDecidedAgainOnceTheDecisionLapsed(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		edit func(*fleet.Update, *fleet.Pull)
		want string
	}{
		"as it was decided":  {func(*fleet.Update, *fleet.Pull) {}, ""},
		"closed":             {func(_ *fleet.Update, p *fleet.Pull) { p.State = "closed" }, "closed"},
		"another head":       {func(_ *fleet.Update, p *fleet.Pull) { p.HeadSHA = "bbb" }, "head SHA moved"},
		"another base":       {func(_ *fleet.Update, p *fleet.Pull) { p.BaseRef = "release" }, "base branch was changed"},
		"a draft":            {func(_ *fleet.Update, p *fleet.Pull) { p.Draft = true }, "draft"},
		"kept up by a limit": {func(u *fleet.Update, _ *fleet.Pull) { u.Verdict.At = now.Add(-time.Hour) }, "decided again"},
		"held meanwhile":     {func(u *fleet.Update, _ *fleet.Pull) { u.Hold = &fleet.Hold{At: now} }, "A hold was put on"},
		"held until before":  {func(u *fleet.Update, _ *fleet.Pull) { u.Hold = &fleet.Hold{Until: now} }, ""},
		"held, and passed over": {func(u *fleet.Update, _ *fleet.Pull) {
			u.Hold, u.Request = &fleet.Hold{At: now.Add(-time.Hour)}, &fleet.MergeRequest{}
			u.Verdict.Conditions = []fleet.Condition{{ID: "held", Outcome: fleet.Waiting, Soft: true, Overridden: true}}
		}, ""},
		"held anew after it was passed over": {func(u *fleet.Update, _ *fleet.Pull) {
			u.Hold = &fleet.Hold{At: now}
			u.Verdict.Conditions = []fleet.Condition{{ID: "held", Outcome: fleet.Waiting, Soft: true, Overridden: true}}
		}, "A hold was put on"},
		"labelled meanwhile": {func(_ *fleet.Update, p *fleet.Pull) { p.Labels = []string{"NixFleet/Hold"} }, "The label nixfleet/hold was put on"},
		"labelled, and passed over": {func(u *fleet.Update, p *fleet.Pull) {
			p.Labels = []string{fleet.HoldLabel}
			u.Verdict.Conditions = []fleet.Condition{{ID: "label", Outcome: fleet.Waiting, Soft: true, Overridden: true}}
		}, ""},
		"of a version without base": {func(u *fleet.Update, _ *fleet.Pull) { u.Verdict.Merge.Base = "" }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := fleet.Update{Verdict: fleet.Verdict{At: now.Add(-time.Second), Merge: &fleet.MergeOrder{HeadSHA: "aaa", Base: "main"}}}
			pull := fleet.Pull{State: "open", HeadSHA: "aaa", BaseRef: "main"}
			c.edit(&u, &pull)
			got := lapsed(u, pull, now)
			if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
				t.Errorf("lapsed: %q, want %q", got, c.want)
			}
		})
	}
}

func TestMergeThatWasFoundRollsOutOnlyWhatReachedTheDefaultBranchNow(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	repo := fleet.Repo{ID: 7, Owner: "o", Name: "r", DefaultBranch: "main"}
	for name, c := range map[string]struct {
		seen, base string
		want       bool
	}{
		"an update, merged by a person":          {"aaa", "main", true},
		"onto another branch":                    {"aaa", "release", false},
		"merged before anybody here knew of it":  {"", "main", false},
		"an old one onto another branch, unseen": {"", "release", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pull := fleet.Pull{State: "closed", Merged: true, MergeCommitSHA: "mmm", HeadSHA: "aaa", BaseRef: c.base, ChangedFiles: 1}
			snap := fleet.Snapshot{
				Repo: repo, Number: 1,
				Policy: fleet.Known(fleet.DefaultPolicy(), "test", now),
				Pull:   fleet.Known(pull, "test", now),
				Files:  fleet.Known([]fleet.ChangedFile{{Path: "flake.lock", Status: "modified"}}, "test", now),
			}
			change := (&App{}).decide(fleet.Update{Repo: repo, Number: 1, HeadSHA: c.seen}, snap, now)
			if change.Verdict.State != fleet.UpdateMerged || change.MergeSHA != "mmm" {
				t.Fatalf("change = %+v", change)
			}
			if got := change.Rollout != nil; got != c.want {
				t.Errorf("rolls out: %v, want %v", got, c.want)
			}
		})
	}
}
