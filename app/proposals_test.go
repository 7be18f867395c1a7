package app

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge/forgetest"
)

const byHosts = `
version: 1
updates:
  strategy: host
  auto_merge: {enabled: true, hold: 1h}
  required_checks: [{name: build, app: github-actions}]
`

// newProposing is a server that watches a repository whose updates hosts make, and
// has looked at it once.
func newProposing(t testing.TB) *pressing {
	t.Helper()
	p := newWatched(t, byHosts)
	p.turn()
	return p
}

func (p *pressing) main() string { return p.hub.Head(pressedRepo, "main") }

// propose sends a lock over the API and drives the loops, also through put-offs.
func (p *pressing) propose(l api.NewLock) api.Lock {
	p.t.Helper()
	c := &api.Client{Server: p.url, Token: adminSecret}
	got, err := c.ProposeLock(p.t.Context(), pressedRepo, l)
	must(p.t, err)
	if got.State != "received" || got.Ended || got.Actor != "admin (local)" {
		p.t.Errorf("received as %+v", got)
	}
	for range 6 {
		p.turn()
		if got, err = c.Lock(p.t.Context(), pressedRepo, got.ID); err != nil {
			p.t.Fatal(err)
		}
		if got.Ended {
			return got
		}
		p.clock.forward(backoff(4))
	}
	p.t.Fatalf("it never ends: %+v; log:\n%s", got, p.replica.log)
	return got
}

// losesAnswers loses the answer to the next write of each kind, as when the server
// dies right after it.
func (p *pressing) losesAnswers(paths ...string) {
	for _, path := range paths {
		method, path, _ := strings.Cut(path, " ")
		p.hub.Inject(forgetest.Fault{Method: method, Path: "/repos/octo/fleet/" + path, Drop: true, AfterEffect: true})
	}
}

// locksHistory is what the history tells of a proposal, oldest first.
func (p *pressing) locksHistory(id string) (list []string) {
	p.t.Helper()
	events, err := p.db.History(p.t.Context(), 1000)
	must(p.t, err)
	for _, e := range slices.Backward(events) {
		if e.Subject == "lock/"+id {
			list = append(list, e.Kind)
		}
	}
	return list
}

func TestALockOfAHostIsCommittedOnceAndRolledOut(t *testing.T) {
	t.Parallel()
	p := newProposing(t)
	base := p.main()
	p.losesAnswers("POST git/blobs", "POST git/trees", "POST git/commits", "PATCH git/refs/*")
	l := p.propose(api.NewLock{Base: base, Lock: p.lock(), Inputs: []string{"input"}, Reason: "weekly"})
	if l.State != "committed" || l.Commit != p.main() || l.Number != 0 {
		t.Fatalf("%+v; main is at %.7s", l, p.main())
	}
	r, err := p.db.RolloutOf(t.Context(), p.repoID, l.Commit)
	must(t, err)
	if r == nil || r.State != fleet.RolloutPlanned {
		t.Errorf("rollout %+v, want one that is planned", r)
	}
	files, err := p.forge.FilesChanged(t.Context(), p.repo(), base, l.Commit)
	if err != nil || len(files) != 1 || files[0] != "flake.lock" {
		t.Errorf("it changes %v (%v)", files, err)
	}
	if got := p.locksHistory(l.ID); !slices.Equal(got, []string{"lock.received", "lock.proven", "lock.committed"}) {
		t.Errorf("history %v", got)
	}

	// A host repeats its answer until it is confirmed: it stays one proposal. From
	// the same commit there is no second lock, and no force.
	again := SentLock{Source: "order/1", Path: "flake.lock", BaseSHA: base, Lock: []byte(p.lock())}
	first, err := p.ProposeLock(t.Context(), fleet.Actor{Login: "ada"}, p.repo(), again)
	must(t, err)
	p.turn()
	second, err := p.ProposeLock(t.Context(), fleet.Actor{Login: "ada"}, p.repo(), again)
	must(t, err)
	if first.ID != second.ID || second.State != fleet.ProposalConflicted || !strings.Contains(second.Found, "Make the lock again from the new head") {
		t.Errorf("%s, then %s %s: %s", first.ID, second.ID, second.State, second.Found)
	}
	if p.main() != l.Commit {
		t.Error("main has moved again")
	}
}

func (p *pressing) repo() fleet.Repo {
	p.t.Helper()
	repos, err := p.db.Repos(p.t.Context())
	must(p.t, err)
	return repos[0]
}

func TestALockOfAHostGoesTheWayOfAPullRequest(t *testing.T) {
	t.Parallel()
	p := newProposing(t)
	base := p.main()
	p.losesAnswers("POST git/commits", "POST git/refs", "POST pulls")
	l := p.propose(api.NewLock{Base: base, Lock: p.lock(), AsPull: true})
	if l.State != "opened" || l.Number == 0 || p.main() != base {
		t.Fatalf("%+v; main is at %.7s; log:\n%s", l, p.main(), p.replica.log)
	}
	_, err := p.hub.SetCheck(pressedRepo, forgetest.Check{SHA: l.Commit, Name: "build", Conclusion: "success"})
	must(t, err)
	p.number = l.Number
	u := p.is(fleet.UpdateHolding, "merge hold")
	i := slices.IndexFunc(u.Verdict.Conditions, func(c fleet.Condition) bool { return c.ID == "author" })
	if found := u.Verdict.Conditions[i].Found; !strings.Contains(found, "NixFleet made this commit itself") {
		t.Errorf("author: %s", found)
	}
	// What somebody pushes onto it is not ours any more.
	p.clock.forward(time.Hour)
	branch := "nixfleet/lock-" + strings.ToLower(l.ID)
	p.commit(pressedRepo, branch, map[string]string{"flake.lock": p.lock()})
	u = p.is(fleet.UpdateBlocked, "hold")
	if !strings.Contains(u.Verdict.Headline, "nixfleet[bot]") || p.main() != base {
		t.Errorf("%s", u.Verdict.Headline)
	}
}

func TestLocksThatAreNotCommitted(t *testing.T) {
	t.Parallel()
	p := newProposing(t)
	older, newer := p.lock(), p.lock()
	p.commit(pressedRepo, "main", map[string]string{"flake.lock": newer})
	p.turn()
	side := p.commit(pressedRepo, "side", map[string]string{"x": "y"})
	before := p.main()
	fresh := p.lock()
	for _, c := range []struct {
		name   string
		lock   api.NewLock
		before func() func()
		state  string
		says   string
	}{
		{"a downgrade", api.NewLock{Lock: older}, nil, "refused", "Input 'input' goes back"},
		{"of a foreign owner", api.NewLock{Lock: strings.ReplaceAll(fresh, `"octo"`, `"mallory"`)}, nil, "refused", "mallory"},
		{"from another branch", api.NewLock{Lock: fresh, Base: side}, nil, "refused", "which is not on main"},
		{"of no lock file", api.NewLock{Lock: fresh, Path: "flake.nix"}, nil, "refused", "flake.nix is none of the lock files"},
		{"that nobody can place", api.NewLock{Lock: fresh}, func() func() {
			p.forget()
			return p.hub.Inject(forgetest.Fault{Path: "/repos/octo/input/compare/*", Status: 502, Times: -1})
		}, "refused", "what is not known is not safe"},
		{"without the permission", api.NewLock{Lock: fresh}, func() func() {
			return p.hub.Inject(forgetest.Fault{Method: http.MethodPost, Path: "/repos/*/git/blobs", Status: 403, Message: "Resource not accessible by integration"})
		}, "refused", "The App needs contents: write"},
		{"to a guarded branch", api.NewLock{Lock: fresh}, func() func() {
			must(t, p.hub.SetRules(pressedRepo, "main", forgetest.Rule{Type: "pull_request"}))
			return func() { must(t, p.hub.SetRules(pressedRepo, "main")) }
		}, "refused", "Changes must be made through a pull request. The App"},
		{"that is overtaken", api.NewLock{Lock: fresh}, func() func() {
			p.hub.OnRequest(func(r *http.Request, at forgetest.Phase) {
				if at == forgetest.AfterEffect && r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/git/commits") {
					p.hub.OnRequest(nil)
					before = p.commit(pressedRepo, "main", map[string]string{"x": "y"})
				}
			})
			return func() {}
		}, "conflicted", "the branch has moved since"},
	} {
		undo := func() {}
		if c.before != nil {
			undo = c.before()
		}
		if c.lock.Base == "" {
			c.lock.Base = p.main()
		}
		l := p.propose(c.lock)
		undo()
		if l.State != c.state || !strings.Contains(l.Found, c.says) {
			t.Errorf("%s: %s: %s\nwant %s: …%s…", c.name, l.State, l.Found, c.state, c.says)
		}
		if p.main() != before || l.Commit != "" {
			t.Fatalf("%s: main moved, or a commit is told: %+v", c.name, l)
		}
	}
	p.commit(pressedRepo, "main", map[string]string{".github/nixfleet.yml": "version: 1\n"})
	if l := p.propose(api.NewLock{Lock: fresh, Base: p.main()}); l.State != "refused" || !strings.Contains(l.Found, "Set updates.strategy: host") {
		t.Errorf("where pull requests bring updates: %+v", l)
	}
	for name, l := range map[string]SentLock{
		"no base":     {Path: "flake.lock", Lock: []byte("{}")},
		"a way out":   {Path: "../flake.lock", BaseSHA: side, Lock: []byte("{}")},
		"no lock":     {Path: "flake.lock", BaseSHA: side},
		"other input": {Path: "flake.lock", BaseSHA: side, Lock: []byte("{}"), Inputs: []string{"--option"}},
		"no host":     {Path: "flake.lock", BaseSHA: side, Lock: []byte("{}"), Host: "nobody"},
	} {
		if _, err := p.ProposeLock(t.Context(), fleet.Actor{Login: "ada"}, p.repo(), l); !errors.Is(err, api.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
