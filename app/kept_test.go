package app

import (
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge/forgetest"
)

// second opens another pull request by the robot, and returns how it is judged.
func (p *pressing) second(branch string) fleet.Update {
	p.t.Helper()
	p.commit(pressedRepo, branch, map[string]string{"flake.lock": p.lock()})
	n, err := p.hub.OpenPull(pressedRepo, forgetest.Pull{Head: branch, Title: "flake.lock: Update"})
	must(p.t, err)
	p.turn()
	u, err := p.db.UpdateByNumber(p.t.Context(), p.repoID, n)
	must(p.t, err)
	return u
}

func conditionOf(u fleet.Update, id string) fleet.Condition {
	for _, c := range u.Verdict.Conditions {
		if c.ID == id {
			return c
		}
	}
	return fleet.Condition{}
}

// A name of the policy stands for the account that bore it when it was written
// there, until it is taken out and written there again.
func TestALoginThatChangedHandsBringsNoUpdates(t *testing.T) {
	t.Parallel()
	p := newPressing(t)
	policy := func(authors string) {
		p.commit(pressedRepo, "main", map[string]string{".github/nixfleet.yml": "version: 1\nupdates: {authors: [" + authors + "], require_checks: false}\n"})
		p.turn()
	}
	policy(`"` + robot + `"`)
	must(t, p.hub.RenameUser(robot, "retired[bot]"))
	impostor := p.second("two")
	if c := conditionOf(impostor, "author"); impostor.State != fleet.UpdateBlocked || c.Outcome != fleet.Refused || !strings.Contains(c.Found, robot) {
		t.Errorf("the new bearer of the name: %s, %+v", impostor.State, c)
	}
	if c := conditionOf(p.update(), "author"); c.Outcome != fleet.Passed {
		t.Errorf("the account that was meant: %+v", c)
	}
	policy("someone")
	policy(`"` + robot + `"`)
	if c := conditionOf(p.second("three"), "author"); c.Outcome != fleet.Passed {
		t.Errorf("written there anew: %+v", c)
	}
}

func TestARevisionAgesFromItsFirstSightInAnyUpdate(t *testing.T) {
	t.Parallel()
	p := newPressing(t)
	p.commit(pressedRepo, "main", map[string]string{".github/nixfleet.yml": `
version: 1
updates:
  auto_merge: {hold: 0s, min_input_age: 2h}
  required_checks: [{name: build, app: github-actions}]
`})
	p.is(fleet.UpdateHolding, "merge hold")
	ages := p.update().Verdict.HoldUntil
	p.clock.forward(time.Hour)
	p.turn()
	if until := p.update().Verdict.HoldUntil; !until.Equal(ages) {
		t.Errorf("an hour later it waits until %s, before until %s", until, ages)
	}
	p.clock.forward(ages.Sub(p.clock.now()))
	p.is(fleet.UpdateMerged, "")
}
