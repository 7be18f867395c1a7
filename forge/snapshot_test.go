package forge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge/forgetest"
)

func TestSnapshotReadsAllThatTheProofNeeds(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{MergeableDelay: -1})
	must(0, s.SetProtection(fleetRepo, "main", &forgetest.Protection{Checks: []forgetest.RequiredCheck{{Context: "build", App: "github-actions"}, {Context: "lint"}}}))(t)
	base := s.Head(fleetRepo, "main")
	n, head := s.update(nil)
	must(0, s.AddLabel(fleetRepo, n, "dependencies", "octo"))(t)
	must(s.SetCheck(fleetRepo, forgetest.Check{SHA: head, Name: "build", Conclusion: "failure"}))(t)
	must(s.SetCheck(fleetRepo, forgetest.Check{SHA: head, Name: "build", Conclusion: "success", Again: true}))(t)
	must(0, s.SetStatus(fleetRepo, forgetest.Status{SHA: head, Context: "lint", State: "pending", Creator: "ci[bot]"}))(t)
	must(0, s.SetStatus(fleetRepo, forgetest.Status{SHA: head, Context: "lint", State: "success", Creator: "ci[bot]"}))(t)

	got := s.snapshot(n)
	pull := got.Pull.Value
	if !got.Pull.Known() || pull.HeadSHA != head || pull.BaseRef != "main" || pull.HeadRepoID != s.repo.ID || pull.BaseRepoID != s.repo.ID ||
		pull.ChangedFiles != 1 || pull.Mergeable == nil || !*pull.Mergeable || pull.Author.ID != botID || pull.Author.Type != "Bot" {
		t.Errorf("pull request = %+v", got.Pull)
	}
	if d := cmp.Diff([]string{"dependencies"}, pull.Labels); d != "" {
		t.Errorf("labels: %s", d)
	}
	if d := cmp.Diff(s.repo, got.Repo); d != "" {
		t.Errorf("repository (-want +got):\n%s", d)
	}
	if got.MergeBase.Value != base {
		t.Errorf("merge base = %+v, want %s", got.MergeBase, base)
	}
	if d := cmp.Diff([]fleet.ChangedFile{{Path: "flake.lock", Status: "modified"}}, got.Files.Value); d != "" || !got.Files.Known() {
		t.Errorf("files (%s): %s", got.Files.Err, d)
	}
	if d := cmp.Diff(map[string]string{"flake.lock": "100644"}, got.Modes.Value); d != "" || !got.Modes.Known() {
		t.Errorf("modes (%s): %s", got.Modes.Err, d)
	}
	lock := got.Locks["flake.lock"]
	if !lock.Known() || string(lock.Value.Base) != s.lock(s.oldRev, s.newDate.AddDate(0, -1, 0)) || string(lock.Value.Head) != s.lock(s.newRev, s.newDate) {
		t.Errorf("lock = %+v", lock)
	}
	if d := cmp.Diff(fleet.DefaultPolicy(), got.Policy.Value); d != "" || !got.Policy.Known() {
		t.Errorf("policy without a file (%s): %s", got.Policy.Err, d)
	}
	if a := got.Authors.Value[botLogin]; !got.Authors.Known() || a.ID != botID || a.Type != "Bot" {
		t.Errorf("authors = %+v", got.Authors)
	}
	want := []fleet.RequiredCheck{{Name: "build", AppID: 15368, From: "branch protection"}, {Name: "lint", From: "branch protection"}}
	if d := cmp.Diff(want, got.Required.Value); d != "" || !got.Required.Known() {
		t.Errorf("required (%s): %s", got.Required.Err, d)
	}
	commit := got.Commits["octo/input@"+s.newRev]
	if len(got.Commits) != 1 || !commit.Known() || !commit.Value.CommitterDate.Equal(s.newDate) {
		t.Errorf("commits = %+v, want that of the new revision at %v", got.Commits, s.newDate)
	}
	if got.OwnAppID != s.AppID {
		t.Errorf("own App = %d, want %d", got.OwnAppID, s.AppID)
	}
	checksOf(t, got, "run build github-actions completed success", "status lint ci completed success")
}

// checksOf compares the checks of a snapshot, in a short form.
func checksOf(t *testing.T, s fleet.Snapshot, want ...string) {
	t.Helper()
	var got []string
	for _, c := range s.Checks.Value {
		got = append(got, strings.TrimSpace(strings.Join([]string{c.Kind, c.Name, c.App, c.State, c.Conclusion}, " ")))
	}
	if d := cmp.Diff(want, got); d != "" || !s.Checks.Known() {
		t.Errorf("checks (%s) (-want +got):\n%s", s.Checks.Err, d)
	}
}

func TestSnapshotTakesThePolicyOfTheBaseBranch(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	n, _ := s.update(map[string]string{PolicyPath: "version: 1\nupdates: {auto_merge: {hold: 0s}}\n"})
	if hold := s.snapshot(n).Policy.Value.Updates.AutoMerge.Hold; hold != time.Hour {
		t.Errorf("hold = %v; the pull request's own policy file counts", hold)
	}
	s.commit(fleetRepo, forgetest.Commit{Files: map[string]string{PolicyPath: "version: 1\nupdates: {auto_merge: {hold: 3h}}\n"}})
	if hold := s.snapshot(n).Policy.Value.Updates.AutoMerge.Hold; hold != 3*time.Hour {
		t.Errorf("hold = %v, want 3h: a policy made after the pull request was opened counts", hold)
	}
	s.commit(fleetRepo, forgetest.Commit{Files: map[string]string{PolicyPath: "version: 1\nupdate: {}\n"}})
	if p := s.snapshot(n).Policy; p.Known() || !strings.Contains(p.Err, "update") || !strings.Contains(p.Err, "2:1") {
		t.Errorf("policy = %+v, want unknown, with the place of the mistake", p)
	}
}

func TestSnapshotReadsLocksInDirectoriesAndModesOfLinks(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	lock := s.lock(s.oldRev, s.newDate.AddDate(0, -1, 0))
	s.commit(fleetRepo, forgetest.Commit{Files: map[string]string{
		PolicyPath:             "version: 1\nupdates: {files: [flake.lock, hosts/a b/flake.lock, gone.lock]}\n",
		"hosts/a b/flake.lock": lock, "hosts/x": "y",
	}})
	s.commit(fleetRepo, forgetest.Commit{
		Branch: updateBranch, Files: map[string]string{"flake.lock": "elsewhere", "hosts/a b/flake.lock": lock + "\n", "new.txt": "", "gone.lock": lock},
		Modes: map[string]string{"flake.lock": "120000"},
	})
	n := must(s.OpenPull(fleetRepo, forgetest.Pull{Head: updateBranch}))(t)
	got := s.snapshot(n)
	if d := cmp.Diff(map[string]string{"flake.lock": "120000", "hosts/a b/flake.lock": "100644", "gone.lock": "100644"}, got.Modes.Value); d != "" {
		t.Errorf("modes (%s): %s", got.Modes.Err, d)
	}
	if pair := got.Locks["hosts/a b/flake.lock"]; !pair.Known() || string(pair.Value.Head) != lock+"\n" {
		t.Errorf("lock in a directory = %+v", pair)
	}
	if pair := got.Locks["gone.lock"]; pair.Known() || !strings.Contains(pair.Err, "does not exist at") {
		t.Errorf("a lock that the base does not have = %+v, want unknown", pair)
	}
	if _, read := got.Locks["new.txt"]; read || len(got.Files.Value) != 4 {
		t.Errorf("files = %+v", got.Files.Value)
	}
}

func TestSnapshotTakesNoFilesOfAnotherCommit(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{MergeableDelay: -1})
	n, head := s.update(nil)
	var once sync.Once
	f := s.open(time.Now, roundTrip(func(r *http.Request) (*http.Response, error) {
		resp, err := http.DefaultTransport.RoundTrip(r)
		if strings.HasSuffix(r.URL.Path, fmt.Sprintf("/pulls/%d", n)) {
			once.Do(func() { // the head SHA was read; now another one is pushed, with as many files
				s.commit(fleetRepo, forgetest.Commit{Branch: updateBranch, Files: map[string]string{
					"flake.lock": s.lock(s.oldRev, s.newDate.AddDate(0, -1, 0)), "configuration.nix": "{ }",
				}})
			})
		}
		return resp, err
	}))
	got, err := f.Snapshot(t.Context(), s.repo, n, Kept{})
	if err != nil || got.Pull.Value.HeadSHA != head {
		t.Fatalf("snapshot of %s: %v", got.Pull.Value.HeadSHA, err)
	}
	if got.Files.Known() || !strings.Contains(got.Files.Err, "another commit") {
		t.Errorf("files = %+v, want unknown", got.Files)
	}
}

func TestSnapshotOfASteadyPullRequestIsFree(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{MergeableDelay: -1})
	n, head := s.update(nil)
	must(s.SetCheck(fleetRepo, forgetest.Check{SHA: head, Name: "build", Conclusion: "success"}))(t)
	first := s.snapshot(n)
	s.ResetCalls()
	second := s.snapshot(n)
	full, free := s.readCounts()
	if full > 0 || free < 9 {
		t.Errorf("second look cost %d calls, %d were free; want all to be free: %+v", full, free, s.Calls())
	}
	if d := cmp.Diff(first, second, cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".At" }, cmp.Ignore())); d != "" {
		t.Errorf("second look differs:\n%s", d)
	}
	must(s.SetCheck(fleetRepo, forgetest.Check{SHA: head, Name: "build", Conclusion: "failure"}))(t)
	checksOf(t, s.snapshot(n), "run build github-actions completed failure")
}

func TestSnapshotNeverServesFromMemory(t *testing.T) {
	t.Parallel()
	// GitHub says max-age=60, and here its clock is an hour ahead, too.
	s := newSite(t, forgetest.Options{MergeableDelay: -1})
	ahead := roundTrip(func(r *http.Request) (*http.Response, error) {
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err == nil {
			resp.Header.Set("Cache-Control", "private, max-age=60, s-maxage=60")
			resp.Header.Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
		}
		return resp, err
	})
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	s.forge = s.open(time.Now, ahead)
	n, _ := s.update(nil)
	for _, draft := range []bool{true, false, true} {
		must(0, s.SetDraft(fleetRepo, n, draft, "octo"))(t)
		if got := s.snapshot(n).Pull.Value.Draft; got != draft {
			t.Fatalf("draft = %v, want %v", got, draft)
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestSnapshotFollowsARename(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	n, head := s.update(nil)
	must(0, s.Rename(fleetRepo, "armada", "octo"))(t)
	got := s.snapshot(n)
	if !got.Pull.Known() || got.Pull.Value.HeadSHA != head || got.Repo.Name != "armada" || !got.Locks["flake.lock"].Known() {
		t.Errorf("after a rename: %+v of %+v", got.Pull, got.Repo)
	}
}

func TestSnapshotRefusesAnotherRepositoryOfTheSameName(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	n, _ := s.update(nil)
	stale := s.repo
	stale.ID++
	// The token is for one repository by its id, so that another one of the same name
	// is out of reach.
	if got, err := s.forge.Snapshot(s.ctx, stale, n, Kept{}); !errors.Is(err, ErrInstallationGone) {
		t.Errorf("%v, %+v; want a refusal", err, got.Pull)
	}
}

func TestSnapshotSaysWhatCouldNotBeRead(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	n, _ := s.update(nil)
	if n != 1 {
		t.Fatalf("pull request %d, want 1", n)
	}
	must(0, s.SetProtection(fleetRepo, "main", &forgetest.Protection{}))(t)
	s.commit(fleetRepo, forgetest.Commit{Files: map[string]string{PolicyPath: "version: 1\n"}}) // without one the trees are asked for it
	for name, c := range map[string]struct {
		fault   forgetest.Fault
		unknown func(fleet.Snapshot) (known bool, err string)
		says    string
	}{
		"the pull request, 502": {forgetest.Fault{Path: "/repos/*/pulls/1", Status: 502, Times: -1},
			func(s fleet.Snapshot) (bool, string) { return s.Pull.Known(), s.Pull.Err }, "GitHub answered 502"},
		"the pull request, cut off": {forgetest.Fault{Path: "/repos/*/pulls/1", Drop: true, Times: -1},
			func(s fleet.Snapshot) (bool, string) { return s.Pull.Known(), s.Pull.Err }, "no answer from GitHub"},
		"the pull request, wrong JSON": {forgetest.Fault{Path: "/repos/*/pulls/1", Status: 200, Body: []byte(`{"number":`), Times: -1},
			func(s fleet.Snapshot) (bool, string) { return s.Pull.Known(), s.Pull.Err }, "not the JSON"},
		"the pull request, other JSON": {forgetest.Fault{Path: "/repos/*/pulls/1", Status: 200, Body: []byte(`{}`), Times: -1},
			func(s fleet.Snapshot) (bool, string) { return s.Pull.Known(), s.Pull.Err }, "incomplete"},
		"the files": {forgetest.Fault{Path: "/repos/*/pulls/1/files", Status: 500, Times: -1},
			func(s fleet.Snapshot) (bool, string) { return s.Files.Known(), s.Files.Err }, "500"},
		"the modes": {forgetest.Fault{Path: "/repos/*/git/trees/*", Status: 500, Times: -1},
			func(s fleet.Snapshot) (bool, string) { return s.Modes.Known(), s.Modes.Err }, "500"},
		"the merge base": {forgetest.Fault{Path: "/repos/*/compare/*", Status: 404, Times: -1},
			func(s fleet.Snapshot) (bool, string) { return s.MergeBase.Known(), s.MergeBase.Err }, "404"},
		"the policy": {forgetest.Fault{Path: "/repos/*/contents/.github/nixfleet.yml", Status: 503, Times: -1},
			func(s fleet.Snapshot) (bool, string) { return s.Policy.Known(), s.Policy.Err }, "503"},
		"the lock": {forgetest.Fault{Path: "/repos/*/contents/flake.lock", Status: 503, Times: -1},
			func(s fleet.Snapshot) (bool, string) { r := s.Locks["flake.lock"]; return r.Known(), r.Err }, "503"},
		"the protection": {forgetest.Fault{Path: "/repos/*/branches/main/protection/*", Status: 500, Times: -1},
			func(s fleet.Snapshot) (bool, string) { return s.Required.Known(), s.Required.Err }, "500"},
		"the check runs": {forgetest.Fault{Path: "/repos/*/commits/*/check-runs", Status: 500, Times: -1},
			func(s fleet.Snapshot) (bool, string) { return s.Checks.Known(), s.Checks.Err }, "500"},
		"the statuses": {forgetest.Fault{Path: "/repos/*/commits/*/statuses", Status: 500, Times: -1},
			func(s fleet.Snapshot) (bool, string) { return s.Checks.Known(), s.Checks.Err }, "500"},
		"the authors": {forgetest.Fault{Path: "/users/*", Status: 500, Times: -1},
			func(s fleet.Snapshot) (bool, string) { return s.Authors.Known(), s.Authors.Err }, "500"},
		"an input's commit": {forgetest.Fault{Path: "/repos/octo/input/*", Status: 404, Times: -1},
			func(s fleet.Snapshot) (bool, string) {
				for _, r := range s.Commits {
					return r.Known(), r.Err
				}
				return true, "not asked for"
			}, "the repository is private"},
		"the default branch": {forgetest.Fault{Path: "/repos/*/branches/main", Status: 500, Times: -1},
			func(s fleet.Snapshot) (bool, string) { return s.Policy.Known() || s.MergeBase.Known(), s.Policy.Err }, "500"},
	} {
		t.Run(name, func(t *testing.T) {
			defer s.Inject(c.fault)()
			s.forge = s.open(time.Now, nil) // remembers nothing
			known, err := c.unknown(s.snapshot(n))
			if known || !strings.Contains(err, c.says) {
				t.Errorf("known %v, reason %q; want unknown with %q", known, err, c.says)
			}
			if strings.Contains(err, "ghs_") {
				t.Errorf("the reason holds a token: %s", err)
			}
		})
	}
}

func TestSnapshotStopsAtARateLimit(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	n, _ := s.update(nil)
	for name, fault := range map[string]forgetest.Fault{
		"429":             forgetest.TooManyRequests(90 * time.Second),
		"secondary limit": forgetest.SecondaryLimit(90 * time.Second),
	} {
		for _, path := range []string{"/repos/*/pulls/1", "/repos/*/commits/*/statuses", "/app/installations/*/access_tokens"} {
			t.Run(name+" at "+path, func(t *testing.T) {
				s.forge = s.open(time.Now, nil) // knows of no limit
				fault.Path = path
				defer s.Inject(fault)()
				before := time.Now()
				_, err := s.forge.Snapshot(s.ctx, s.repo, n, Kept{})
				limited, ok := errors.AsType[*RateLimited](err)
				if !ok || limited.Until.Before(before.Add(89*time.Second)) || limited.Until.After(time.Now().Add(91*time.Second)) {
					t.Fatalf("err = %v, want RateLimited for 90 s", err)
				}
				s.ResetCalls()
				if _, err = s.forge.Snapshot(s.ctx, s.repo, n, Kept{}); err == nil {
					t.Error("asked again before the time")
				}
				if full, free := s.readCounts(); full+free != 0 {
					t.Errorf("%d calls were made before the time", full+free)
				}
			})
		}
	}
}

func TestSnapshotNoticesThatTheAppIsGone(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	n, _ := s.update(nil)
	must(0, s.Suspend(s.repo.Installation))(t)
	if _, err := s.forge.Snapshot(s.ctx, s.repo, n, Kept{}); !errors.Is(err, ErrInstallationGone) {
		t.Errorf("suspended: err = %v, want ErrInstallationGone", err)
	}
	must(0, s.Unsuspend(s.repo.Installation))(t)
	s.snapshot(n)
	must(0, s.Suspend(s.repo.Installation))(t)
	if _, err := s.forge.Snapshot(s.ctx, s.repo, n, Kept{}); !errors.Is(err, ErrInstallationGone) {
		t.Errorf("suspended with a token in hand: err = %v, want ErrInstallationGone", err)
	}
	must(0, s.Uninstall(s.repo.Installation))(t)
	if _, err := s.open(time.Now, nil).Snapshot(s.ctx, s.repo, n, Kept{}); !errors.Is(err, ErrInstallationGone) {
		t.Errorf("uninstalled: err = %v, want ErrInstallationGone", err)
	}
}

func TestSnapshotEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	n, _ := s.update(nil)
	arrived, never := make(chan struct{}, 100), make(chan struct{})
	defer close(never)
	s.OnRequest(func(*http.Request, forgetest.Phase) { arrived <- struct{}{} })
	s.Inject(forgetest.Fault{Path: "/repos/*/pulls/1", Until: never, Times: -1})
	ctx, cancel := context.WithCancel(s.ctx)
	go func() { <-arrived; cancel() }()
	if _, err := s.forge.Snapshot(ctx, s.repo, n, Kept{}); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v, want context.Canceled", err)
	}
}

func TestRequiredChecksWithoutTheRightToRead(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	must(0, s.SetProtection(fleetRepo, "main", &forgetest.Protection{Checks: []forgetest.RequiredCheck{{Context: "build", App: "github-actions"}}}))(t)
	n, _ := s.update(nil)
	must(0, s.GrantPermissions(s.repo.Installation, map[string]string{
		"metadata": "read", "contents": "write", "pull_requests": "write", "checks": "write", "statuses": "read",
	}))(t)
	got := s.snapshot(n).Required
	want := []fleet.RequiredCheck{{Name: "build", AppID: 15368, From: "branch protection"}}
	if d := cmp.Diff(want, got.Value); d != "" || !got.Known() || strings.Contains(got.Source, "protection") {
		t.Errorf("required from the branch itself: %+v\n%s", got, d)
	}
}

func TestRequiredChecksOfAFreePrivateRepository(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	id := must(s.AddRepo(forgetest.Repo{Name: "octo/private", Private: true, NoProtectionPlan: true}))(t)
	s.commit("octo/private", forgetest.Commit{Files: map[string]string{"flake.lock": "{}"}})
	s.commit("octo/private", forgetest.Commit{Branch: "b", Files: map[string]string{"flake.lock": "{ }"}})
	n := must(s.OpenPull("octo/private", forgetest.Pull{Head: "b"}))(t)
	repo := s.repo
	repo.ID, repo.Name = id, "private"
	if got := must(s.forge.Snapshot(s.ctx, repo, n, Kept{}))(t).Required; !got.Known() || len(got.Value) != 0 {
		t.Errorf("required = %+v, want known and empty", got)
	}
}
