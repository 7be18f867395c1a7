package forge

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge/forgetest"
)

func order(head string) fleet.MergeOrder {
	return fleet.MergeOrder{HeadSHA: head, Method: "squash", Title: "flake.lock: Update (#1)", Message: "Flake lock file updates:"}
}

func TestMergeIsPinnedToTheHead(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{MergeableDelay: -1})
	n, old := s.update(nil)
	head := s.commit(fleetRepo, forgetest.Commit{Branch: updateBranch, Files: map[string]string{"x": "pushed meanwhile"}})
	got := must(s.forge.Merge(s.ctx, s.repo, n, order(old)))(t)
	if got.Outcome != MergeHeadMoved || got.Message == "" {
		t.Errorf("merge of an old head = %+v, want head_moved", got)
	}
	if p := s.forge.Pull(s.ctx, s.repo, n); !p.Known() || p.Value.Merged {
		t.Fatalf("pull request = %+v, want open", p)
	}
	got = must(s.forge.Merge(s.ctx, s.repo, n, order(head)))(t)
	if got.Outcome != Merged || got.SHA != s.Head(fleetRepo, "main") {
		t.Errorf("merge = %+v, want main's new head %s", got, s.Head(fleetRepo, "main"))
	}
	p := s.forge.Pull(s.ctx, s.repo, n)
	if !p.Value.Merged || p.Value.MergeCommitSHA != got.SHA || p.Value.MergedBy.Type != "Bot" {
		t.Errorf("pull request afterwards = %+v", p)
	}
	if again := must(s.forge.Merge(s.ctx, s.repo, n, order(head)))(t); again.Outcome == Merged {
		t.Errorf("merged twice: %+v", again)
	}
}

func TestMergeOfARenamedRepository(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{MergeableDelay: -1})
	n, head := s.update(nil)
	must(0, s.Rename(fleetRepo, "armada", "octo"))(t)
	got := must(s.forge.Merge(s.ctx, s.repo, n, order(head)))(t)
	if got.Outcome != Merged || got.SHA != s.Head("octo/armada", "main") {
		t.Errorf("merge = %+v, want it done under the new name", got)
	}
}

func TestMergeTellsDoubtFromRefusal(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{MergeableDelay: -1})
	n, head := s.update(nil)
	const merge = "/repos/*/pulls/*/merge"
	for name, c := range map[string]struct {
		fault forgetest.Fault
		want  MergeOutcome
		class RefusalClass
	}{
		"500":                  {forgetest.Fault{Path: merge, Status: 500}, MergeAmbiguous, ""},
		"502":                  {forgetest.Fault{Path: merge, Status: 502}, MergeAmbiguous, ""},
		"cut off":              {forgetest.Fault{Path: merge, Drop: true, Times: -1}, MergeAmbiguous, ""},
		"half an answer":       {forgetest.Fault{Path: merge, Status: 200, Body: []byte(`{"merged":tr`)}, MergeAmbiguous, ""},
		"200 without a commit": {forgetest.Fault{Path: merge, Status: 200, Body: []byte(`{"merged":true}`)}, MergeAmbiguous, ""},
		"429":                  {with(forgetest.TooManyRequests(time.Minute), merge), MergeLimited, ""},
		"secondary limit":      {with(forgetest.SecondaryLimit(time.Minute), merge), MergeLimited, ""},
		"401":                  {forgetest.Fault{Path: merge, Status: 401, Message: "Bad credentials"}, MergeRefused, RefusalRetry},
		"403":                  {forgetest.Fault{Path: merge, Status: 403, Message: "Resource not accessible by integration"}, MergeRefused, RefusalTerminal},
		"404":                  {forgetest.Fault{Path: merge, Status: 404, Message: "Not Found"}, MergeRefused, RefusalTerminal},
		"405":                  {forgetest.Fault{Path: merge, Status: 405, Message: "Base branch was modified. Review and try the merge again."}, MergeRefused, RefusalRetry},
		"409":                  {forgetest.Fault{Path: merge, Status: 409, Message: "Head branch was modified. Review and try the merge again."}, MergeHeadMoved, ""},
		"422":                  {forgetest.Fault{Path: merge, Status: 422, Message: "Validation Failed"}, MergeRefused, RefusalTerminal},
	} {
		t.Run(name, func(t *testing.T) {
			f := s.open(time.Now, nil)
			defer s.Inject(c.fault)()
			got := must(f.Merge(s.ctx, s.repo, n, order(head)))(t)
			if got.Outcome != c.want || got.Class != c.class || got.Message == "" {
				t.Errorf("merge = %+v, want %s %s with words", got, c.want, c.class)
			}
			if c.want == MergeLimited && !got.Until.After(time.Now()) {
				t.Errorf("until %v, want a time ahead", got.Until)
			}
		})
	}
	if p := s.forge.Pull(s.ctx, s.repo, n); p.Value.Merged {
		t.Error("merged by a refused call")
	}
}

func with(f forgetest.Fault, path string) forgetest.Fault {
	f.Path = path
	return f
}

func TestMergeWhoseAnswerIsLostIsAmbiguousAndHappened(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{MergeableDelay: -1})
	n, head := s.update(nil)
	s.Inject(forgetest.Fault{Method: http.MethodPut, Path: "/repos/*/pulls/*/merge", Drop: true, AfterEffect: true})
	got := must(s.forge.Merge(s.ctx, s.repo, n, order(head)))(t)
	if got.Outcome != MergeAmbiguous {
		t.Fatalf("merge = %+v, want ambiguous", got)
	}
	if calls := s.Calls()["PUT /repos/{owner}/{repo}/pulls/{pull_number}/merge"]; calls.Full > 1 {
		t.Errorf("the merge was sent %d times, want once", calls.Full)
	}
	p := s.forge.Pull(s.ctx, s.repo, n)
	if !p.Value.Merged || p.Value.MergeCommitSHA != s.Head(fleetRepo, "main") {
		t.Errorf("the pull request tells the truth: %+v", p)
	}
}

func TestMergeThatWasNeverSentIsAnError(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	n, head := s.update(nil)
	if _, err := s.forge.Merge(s.ctx, s.repo, n, order("main")); err == nil {
		t.Error("no head SHA: no error; an unpinned merge must not be sent")
	}
	defer s.Inject(forgetest.Fault{Path: "/app/installations/*/access_tokens", Status: 500, Times: -1})()
	if got, err := s.forge.Merge(s.ctx, s.repo, n, order(head)); err == nil {
		t.Errorf("no token: merge = %+v, want an error", got)
	}
	must(0, s.Uninstall(s.repo.Installation))(t)
	s.forge = s.open(time.Now, nil)
	if _, err := s.forge.Merge(s.ctx, fleet.Repo{ID: 1, Owner: "o", Name: "r"}, n, order(head)); !errors.Is(err, ErrInstallationGone) {
		t.Errorf("no installation: err = %v, want ErrInstallationGone", err)
	}
}

func TestMergeShowsWhyGitHubRefuses(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{MergeableDelay: -1})
	n, head := s.update(nil)
	must(0, s.SetProtection(fleetRepo, "main", &forgetest.Protection{Checks: []forgetest.RequiredCheck{{Context: "build"}}}))(t)
	got := must(s.forge.Merge(s.ctx, s.repo, n, order(head)))(t)
	if got.Outcome != MergeRefused || got.Class != RefusalWait || !strings.Contains(got.Message, "build") {
		t.Errorf("merge = %+v, want refused until the check passed, in GitHub's words", got)
	}
}

func TestRefusalsAreClassed(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]RefusalClass{
		"Base branch was modified. Review and try the merge again.":                      RefusalRetry,
		"Merge already in progress":                                                      RefusalRetry,
		`Required status check "build" is expected.`:                                     RefusalWait,
		"At least 1 approving review is required by reviewers with write access.":        RefusalWait,
		"Waiting on code owner review from octo/team.":                                   RefusalWait,
		"New changes require approval from someone other than the last pusher.":          RefusalWait,
		"Repository rule violations found\n\nRequired status check \"x\"":                RefusalWait,
		"Pull Request is not mergeable":                                                  RefusalWait,
		"Pull Request is still a draft":                                                  RefusalWait,
		"Changes must be made through the merge queue":                                   RefusalTerminal,
		"Repository rule violations found: Changes must be made through the merge queue": RefusalTerminal,
		"Merge commits are not allowed on this repository.":                              RefusalTerminal,
		"Squash merges are not allowed on this repository.":                              RefusalTerminal,
		"You're not authorized to push to this branch.":                                  RefusalTerminal,
		"Something that GitHub has yet to invent":                                        RefusalWait,
	} {
		if got := classify(message); got != want {
			t.Errorf("classify(%q) = %s, want %s", message, got, want)
		}
	}
}
