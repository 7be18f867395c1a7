package app

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nixfleet/nixfleet/db/dbtest"
	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge"
	"github.com/nixfleet/nixfleet/forge/forgetest"
)

const (
	pressedRepo = "octo/fleet"
	lockBranch  = "update_flake_lock_action"
	robot       = "github-actions[bot]"
)

// pressing is a server beside an imitated github.com with one update of one
// repository, held for an hour by its policy, and green.
type pressing struct {
	*replica
	t      testing.TB
	hub    *forgetest.Server
	repoID int64
	number int
}

func newPressing(t testing.TB) *pressing {
	t.Helper()
	p := newWatched(t, `
version: 1
updates:
  auto_merge: {enabled: true, hold: 1h}
  required_checks: [{name: build, app: github-actions}]
`)
	p.push()
	var err error
	p.number, err = p.hub.OpenPull(pressedRepo, forgetest.Pull{Head: lockBranch, Title: "flake.lock: Update"})
	must(t, err)
	p.green()
	p.is(fleet.UpdateHolding, "merge hold")
	return p
}

// newWatched is pressing without its update, under another policy.
func newWatched(t testing.TB, policy string) *pressing {
	t.Helper()
	r := newReplica(t, dbtest.New(t))
	p := &pressing{replica: r, t: t, hub: forgetest.NewForTest(t, forgetest.Options{Now: r.clock.now, MergeableDelay: -1})}
	r.cfg.GitHubAppID = p.hub.AppID
	p.forget()
	p.hub.SetWebhook(r.url+"/api/github/hook", webhookSecret)
	_, err := p.hub.AddRepo(forgetest.Repo{Name: "octo/input", Org: true, NotInstalled: true})
	must(t, err)
	p.repoID, err = p.hub.AddRepo(forgetest.Repo{Name: pressedRepo, Org: true})
	must(t, err)
	p.commit(pressedRepo, "main", map[string]string{"flake.lock": p.lock(), "flake.nix": "{}\n", ".github/nixfleet.yml": policy})
	must(t, p.hub.SetPermission(pressedRepo, "ada", "write"))
	must(t, p.hub.SetPermission(pressedRepo, "eve", "read"))
	return p
}

// forget opens the way to GitHub anew, with nothing in its memory.
func (p *pressing) forget() {
	p.t.Helper()
	door, err := forge.New(forge.Config{
		APIURL: p.hub.APIURL(), AppID: p.hub.AppID, PrivateKey: p.hub.PrivateKeyPEM, UserAgent: "test", Now: p.clock.now, Log: p.App.log,
	})
	must(p.t, err)
	p.t.Cleanup(door.Close)
	p.forge = door
}

func (p *pressing) commit(repo, branch string, files map[string]string) string {
	p.t.Helper()
	sha, err := p.hub.CommitFiles(repo, forgetest.Commit{Branch: branch, Files: files, Author: robot, Message: "Change\n"})
	must(p.t, err)
	return sha
}

// lock is a flake.lock on a new commit of the input.
func (p *pressing) lock() string {
	p.t.Helper()
	p.clock.forward(time.Second)
	rev := p.commit("octo/input", "main", map[string]string{"a": p.clock.now().String()})
	hash := sha256.Sum256([]byte(rev))
	return fmt.Sprintf(`{
  "nodes": {
    "input": {
      "locked": {"lastModified": %d, "narHash": "sha256-%s", "owner": "octo", "repo": "input", "rev": "%s", "type": "github"},
      "original": {"owner": "octo", "repo": "input", "type": "github"}
    },
    "root": {"inputs": {"input": "input"}}
  },
  "root": "root",
  "version": 7
}
`, p.clock.now().Unix(), base64.StdEncoding.EncodeToString(hash[:]), rev)
}

// push brings the update's branch to a newer lock and returns its head.
func (p *pressing) push() string {
	p.t.Helper()
	return p.commit(pressedRepo, lockBranch, map[string]string{"flake.lock": p.lock()})
}

// green is CI that passes at the update's head.
func (p *pressing) green() {
	p.t.Helper()
	_, err := p.hub.SetCheck(pressedRepo, forgetest.Check{SHA: p.hub.Head(pressedRepo, lockBranch), Name: "build", Conclusion: "success"})
	must(p.t, err)
}

// turn drives the loops until nothing is left to do now.
func (p *pressing) turn() {
	p.t.Helper()
	for rounds := 0; ; rounds++ {
		must(p.t, p.hub.WaitDelivered(p.t.Context()))
		sum := 0
		for _, work := range []*loop{
			newLoop("inbox", p.App.log, p.workInbox), newLoop("repos", p.App.log, p.workRepos), newLoop("requests", p.App.log, p.workRequests),
			newLoop("updates", p.App.log, p.workUpdates), newLoop("proposals", p.App.log, p.workProposals), newLoop("effects", p.App.log, p.workEffects),
		} {
			n, err := work.work(p.t.Context())
			must(p.t, err)
			sum += n
		}
		if sum == 0 {
			return
		}
		if rounds > 200 {
			p.t.Fatalf("it never comes to rest; log:\n%s", p.replica.log)
		}
	}
}

func (p *pressing) update() fleet.Update {
	p.t.Helper()
	u, err := p.db.UpdateByNumber(p.t.Context(), p.repoID, p.number)
	must(p.t, err)
	return u
}

// is drives the loops and says what must be seen then: the state, and the buttons
// of the check run at its head.
func (p *pressing) is(want fleet.UpdateState, buttons string) fleet.Update {
	p.t.Helper()
	p.turn()
	p.clock.forward(editEvery) // the last edits are written
	p.turn()
	u := p.update()
	if u.State != want {
		p.t.Fatalf("it is %s (%s), want %s; log:\n%s", u.State, u.Verdict.Headline, want, p.replica.log)
	}
	if got := strings.Join(p.run(u.HeadSHA).Buttons, " "); got != buttons {
		p.t.Errorf("buttons %q, want %q", got, buttons)
	}
	return u
}

// run is our check run at a commit.
func (p *pressing) run(sha string) forgetest.CheckRun {
	p.t.Helper()
	list := p.hub.CheckRuns(pressedRepo, sha)
	i := slices.IndexFunc(list, func(c forgetest.CheckRun) bool { return c.App == "nixfleet" })
	if i < 0 {
		p.t.Fatalf("no check run of ours at %.7s", sha)
	}
	return list[i]
}

func (p *pressing) click(sha, button, by string) {
	p.t.Helper()
	must(p.t, p.hub.Click(pressedRepo, p.run(sha).ID, button, by))
}

// says checks what people read in the comment.
func (p *pressing) says(text string, want bool) {
	p.t.Helper()
	comments := p.hub.Comments(pressedRepo, p.number)
	if len(comments) != 1 || strings.Contains(comments[0].Body, text) != want {
		p.t.Errorf("%d comments; %q should be said: %v, in:\n%+v", len(comments), text, want, comments)
	}
}

// history is what the history tells of requests, oldest first.
func (p *pressing) history() (list []string) {
	p.t.Helper()
	events, err := p.db.History(p.t.Context(), 1000)
	must(p.t, err)
	for _, e := range slices.Backward(events) {
		if strings.HasPrefix(e.Kind, "request.") {
			list = append(list, fmt.Sprintf("%s %v %s", e.Actor, e.Detail["action"], strings.TrimPrefix(e.Kind, "request.")))
		}
	}
	return list
}

func (p *pressing) remembers(want ...string) {
	p.t.Helper()
	if diff := cmp.Diff(want, p.history()); diff != "" {
		p.t.Errorf("history (-want +got):\n%s", diff)
	}
}

// sender is who the last webhook was about, as GitHub names accounts.
func (p *pressing) sender() fleet.Actor {
	p.t.Helper()
	var last struct {
		Sender struct {
			ID          int64
			Login, Type string
		}
	}
	list := p.hub.Deliveries()
	must(p.t, json.Unmarshal(list[len(list)-1].Payload, &last))
	return fleet.Actor(last.Sender)
}

func TestHoldKeepsAnUpdateFromMergingUntilItIsReleased(t *testing.T) {
	t.Parallel()
	p := newPressing(t)
	head := p.update().HeadSHA
	p.click(head, "hold", "eve")
	p.is(fleet.UpdateHolding, "merge hold")
	p.click(head, "hold", "ada")
	p.is(fleet.UpdateReady, "merge unhold")
	p.says("ada holds it since", true)
	if run := p.run(head); !strings.Contains(run.Title, "ada holds it since") {
		t.Errorf("the check run says %q", run.Title)
	}

	p.hub.ResetCalls()
	must(t, p.hub.Rerun(pressedRepo, p.run(head).ID, "ada"))
	p.is(fleet.UpdateReady, "merge unhold")
	if n := p.hub.Calls()["PATCH /repos/{owner}/{repo}/check-runs/{check_run_id}"].Full; n != 1 {
		t.Errorf("asked for again, the check run was written %d times, want once", n)
	}

	p.clock.forward(2 * time.Hour) // the hold time of the policy is over
	p.is(fleet.UpdateReady, "merge unhold")
	p.click(head, "unhold", "eve")
	p.is(fleet.UpdateReady, "merge unhold")
	p.click(head, "unhold", "ada")
	u := p.is(fleet.UpdateMerged, "")
	p.says("ada holds it since", false)
	if u.MergedBy != "policy" || p.hub.Head(pressedRepo, "main") != u.MergeSHA {
		t.Errorf("merged by %q as %q", u.MergedBy, u.MergeSHA)
	}
	p.remembers("eve hold denied", "ada hold allowed", "ada rerun allowed", "eve unhold denied", "ada unhold allowed")
}

func TestMergeButtonMergesThatHeadForWhoMayWrite(t *testing.T) {
	t.Parallel()
	p := newPressing(t)
	head := p.update().HeadSHA
	for _, by := range []string{"eve", "nixfleet[bot]", "renovate[bot]"} {
		p.click(head, "merge", by)
	}
	if u := p.is(fleet.UpdateHolding, "merge hold"); u.Request != nil {
		t.Errorf("asked for: %+v", u.Request)
	}
	p.click(head, "hold", "ada")
	p.is(fleet.UpdateReady, "merge unhold")

	remove := p.hub.Inject(forgetest.Fault{Path: "/repos/*/collaborators/*", Times: -1, Status: 502})
	p.click(head, "merge", "ada")
	if u := p.is(fleet.UpdateReady, "merge unhold"); u.Request != nil {
		t.Errorf("asked for by somebody of whom nothing is known: %+v", u.Request)
	}
	if said := p.replica.log.String(); !strings.Contains(said, "tried again") || !strings.Contains(said, "502") {
		t.Errorf("the log does not say why:\n%s", said)
	}
	p.remembers("eve merge denied", "ada hold allowed")
	remove()
	p.clock.forward(backoff(1)) // it overrides the hold, and the hold time
	u := p.is(fleet.UpdateMerged, "")
	if u.HeadSHA != head || u.MergedBy != "ada" {
		t.Errorf("merged %.7s by %q, want %.7s by ada", u.HeadSHA, u.MergedBy, head)
	}
	ro, err := p.db.RolloutOf(t.Context(), p.repoID, u.MergeSHA)
	must(t, err)
	if ro == nil || ro.Actor != "ada" {
		t.Errorf("rollout %+v, want one of ada's", ro)
	}
	p.remembers("eve merge denied", "ada hold allowed", "ada merge allowed")
}

func TestAButtonOfAnOldHeadMergesAndReleasesNothing(t *testing.T) {
	t.Parallel()
	p := newPressing(t)
	old := p.update().HeadSHA
	head := p.push()
	p.green()
	if u := p.is(fleet.UpdateHolding, "merge hold"); u.HeadSHA != head {
		t.Fatalf("head %.7s, want %.7s", u.HeadSHA, head)
	}
	p.click(old, "merge", "ada") // GitHub may or may not say which pull request it was of
	p.turn()
	ada := p.sender()
	press := func(action, sha string) {
		t.Helper()
		must(t, p.db.Record(t.Context(), p.clock.now(), fleet.Pressed{
			Repo: p.update().Repo, Numbers: []int{p.number}, SHA: sha, Action: action, By: ada, Cause: "check_run.requested_action",
		}))
	}
	press("merge", old)
	if u := p.is(fleet.UpdateHolding, "merge hold"); u.Request != nil {
		t.Errorf("asked for: %+v", u.Request)
	}
	press("hold", old) // it is the update that is held
	p.is(fleet.UpdateReady, "merge unhold")
	press("unhold", old)
	p.is(fleet.UpdateReady, "merge unhold")
	press("explode", head)
	p.is(fleet.UpdateReady, "merge unhold")
	if got := p.history(); !slices.Equal(slices.Compact(got), []string{"ada merge void", "ada hold allowed", "ada unhold void"}) {
		t.Errorf("history %v", got)
	}
}
