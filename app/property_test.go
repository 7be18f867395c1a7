package app

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge/forgetest"
	"pgregory.net/rapid"
)

// within is how long after the last fault a provable update may take to be merged
// and rolled out: its hold, a look that may be due an hour later, and retries.
const within = 3 * time.Hour

// No history of pushes, checks, people, lost webhooks, outages and crashes makes
// the App merge what its own look did not prove, or do anything twice; and once the
// world is well again, what can be proven is merged and rolled out.
//
// -rapid.checks says how many histories, -rapid.seed repeats one.
func TestAnyHistoryEndsInOneProvenMerge(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		e := newEpisode(t, rt)
		defer e.end()
		deeds := e.deeds()
		names := make([]string, 0, len(deeds))
		for name := range deeds {
			names = append(names, name)
		}
		slices.Sort(names)
		for range rapid.IntRange(1, 25).Draw(rt, "deeds") {
			deeds[rapid.SampledFrom(names).Draw(rt, "deed")]()
			e.check()
		}
		e.recover()
	})
}

// deeds are all that may happen in one step.
func (e *episode) deeds() map[string]func() {
	rt, hub := e.rt, e.hub
	pick := func(label string, from ...string) string { return rapid.SampledFrom(from).Draw(rt, label) }
	turn := func() { e.turn() }
	return map[string]func(){
		"work": turn, "work again": turn, "and again": turn,
		"work of one loop": func() {
			e.turn(pick("loop", "inbox", "repos", "requests", "updates", "effects", "rollouts"))
		},
		"a moment": func() { e.clock.forward(time.Duration(rapid.IntRange(1, 90).Draw(rt, "seconds")) * time.Second) },
		"a while":  func() { e.clock.forward(time.Duration(rapid.IntRange(2, 20).Draw(rt, "minutes")) * time.Minute) },
		"the hold": func() { e.clock.forward(episodeHold) },
		"good push": func() {
			if e.over {
				e.open()
			} else {
				e.pushGood()
			}
		},
		"bad push":         func() { e.pushBad(pick("what", "file", "downgrade", "owner", "junk")) },
		"check":            func() { e.setBuild(pick("conclusion", "success", "success", "failure", "")) },
		"check, worked on": func() { e.setBuild("success"); e.turn() },
		"label":            e.flipLabel,
		"draft":            e.flipDraft,
		"close or reopen":  e.closeOrReopen,
		"command": func() {
			e.say(pick("who", "ada", "ada", "eve"), pick("what", "merge", "hold", "hold 1h", "unhold", "status", "nonsense"))
		},
		"README":      func() { e.commit(forgetest.Commit{Files: map[string]string{"README": e.clock.now().String()}}) },
		"lock pushed": e.pushToMain,
		"merged by a person": func() {
			e.personMerges()
		},
		"webhooks go wrong": func() {
			e.unfault = append(e.unfault, hub.InjectHook(forgetest.HookFault{
				Event: pick("event", "", "pull_request", "check_run", "check_suite", "push", "issue_comment"),
				Times: rapid.IntRange(1, 4).Draw(rt, "times"),
				Do:    rapid.SampledFrom([]forgetest.HookAction{forgetest.HookDrop, forgetest.HookDuplicate, forgetest.HookSwap, forgetest.HookHold}).Draw(rt, "how"),
			}))
		},
		"late webhooks come": func() { hub.ReleaseHeld(rapid.Bool().Draw(rt, "reversed")) },
		"GitHub fails":       e.fault,
		"restart":            e.restart,
		"kill at work": func() {
			e.mu.Lock()
			e.killAt = rapid.IntRange(1, 30).Draw(rt, "request")
			e.mu.Unlock()
			e.turn()
			e.mu.Lock()
			e.killAt = 0
			e.mu.Unlock()
		},
	}
}

func (e *episode) pushBad(what string) {
	next := lockOn(e.newRev(), e.dates)
	files := map[string]string{"flake.lock": next}
	switch what {
	case "file":
		files["build.sh"] = "echo " + e.clock.now().String()
	case "downgrade":
		files["flake.lock"] = lockOn(e.revs[0], e.dates)
	case "owner":
		files["flake.lock"] = foreign(next)
	case "junk":
		files["flake.lock"] = "{" + e.clock.now().String()
	}
	e.push(files, false)
}

// fault makes some of the next requests fail in one of the ways that GitHub does.
func (e *episode) fault() {
	rt := e.rt
	f := rapid.SampledFrom([]forgetest.Fault{
		{Status: http.StatusBadGateway},
		{Status: http.StatusInternalServerError, AfterEffect: true},
		{Drop: true},
		{Drop: true, AfterEffect: true},
		{Body: []byte(`{"id": "`)},
		{Body: []byte(`[]`), AfterEffect: true},
		forgetest.TooManyRequests(30 * time.Second),
		forgetest.SecondaryLimit(time.Minute),
	}).Draw(rt, "fault")
	f.Path = rapid.SampledFrom([]string{"", "*/merge", "*/comments*", "*/check-runs*", "*/pulls/*", "*/access_tokens", "*/contents/*", "*/compare/*"}).Draw(rt, "path")
	f.Skip = rapid.IntRange(0, 3).Draw(rt, "skip")
	f.Times = rapid.IntRange(1, 5).Draw(rt, "times")
	e.unfault = append(e.unfault, e.hub.Inject(f))
}

// recover ends all faults, makes the update provable and lets time pass.
func (e *episode) recover() {
	for _, f := range e.unfault {
		f()
	}
	e.hub.ReleaseHeld(false)
	e.heal()
	e.check()
	done := func() bool {
		u, known := e.update()
		return known && u.State == fleet.UpdateMerged && e.rolledOut()
	}
	for spent := time.Duration(0); !done(); spent += time.Minute {
		if spent > within {
			u, _ := e.update()
			e.Fatalf("not merged in %s though it is proven: #%d is %s (%s)\n%+v", within, u.Number, u.State, u.Verdict.Headline, u.Verdict.Conditions)
		}
		e.turn()
		e.clock.forward(time.Minute)
		e.check()
	}
	e.restart()
	e.turn()
	e.check()
}

// heal makes the update one that can be proven.
func (e *episode) heal() {
	if e.over {
		return
	}
	if e.closed {
		e.closeOrReopen()
	}
	if e.draft {
		e.flipDraft()
	}
	if e.label {
		e.flipLabel()
	}
	if h := e.current(); !h.good || h.onto != e.lock {
		e.pushGood()
	}
	e.setBuild("success")
	e.say("ada", "unhold")
}

// rolledOut reports whether the newest rollout that ended brought what the default
// branch holds.
func (e *episode) rolledOut() bool {
	o, err := e.db.Overview(e.Context(), e.clock.now())
	must(e, err)
	for _, ro := range o.Rollouts {
		if e.mains[ro.Commit] == e.lock && ro.State == fleet.RolloutSucceeded {
			return true
		}
	}
	return false
}

func (e *episode) setBuild(conclusion string) {
	h := e.current()
	if h == nil {
		return
	}
	c := forgetest.Check{SHA: h.sha, Name: "build", Conclusion: conclusion}
	if conclusion == "" {
		c.Status = "in_progress"
	}
	_, err := e.hub.SetCheck(pressedRepo, c)
	must(e, err)
	h.build = conclusion
}

func (e *episode) flipLabel() {
	if e.over {
		return
	}
	if e.label = !e.label; e.label {
		must(e, e.hub.AddLabel(pressedRepo, e.number, "nixfleet/hold", "ada"))
	} else {
		must(e, e.hub.RemoveLabel(pressedRepo, e.number, "nixfleet/hold", "ada"))
	}
}

func (e *episode) flipDraft() {
	if e.over {
		return
	}
	e.draft = !e.draft
	must(e, e.hub.SetDraft(pressedRepo, e.number, e.draft, "ada"))
}

func (e *episode) closeOrReopen() {
	if e.over {
		return
	}
	if e.closed = !e.closed; e.closed {
		must(e, e.hub.ClosePull(pressedRepo, e.number, "ada"))
	} else {
		must(e, e.hub.ReopenPull(pressedRepo, e.number, "ada"))
	}
}

func (e *episode) say(who, what string) {
	_, err := e.hub.AddComment(pressedRepo, e.number, "/nixfleet "+what, who)
	must(e, err)
	if who == "ada" && what == "merge" {
		e.asked = append(e.asked, e.clock.now())
	}
}

func (e *episode) pushToMain() {
	e.commit(forgetest.Commit{Files: map[string]string{"flake.lock": lockOn(e.newRev(), e.dates)}})
}

// personMerges is a merge on the page of the pull request, which GitHub may refuse.
func (e *episode) personMerges() {
	h := e.current()
	if e.over || h == nil || !h.good {
		return
	}
	sha, err := e.hub.MergePull(pressedRepo, e.number, forgetest.Merge{Method: "squash"}, "ada")
	if err != nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.merged(sha, h)
}

// foreign is a lock whose input comes from somebody else.
func foreign(lock string) string {
	return strings.Replace(lock, `"owner": "octo"`, `"owner": "mallory"`, 1)
}
