package app

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge/forgetest"
)

// write comments on the update's pull request, drives the loops, and returns the
// reactions to it.
func (p *pressing) write(by, body string) (reactions string) {
	p.t.Helper()
	id, err := p.hub.AddComment(pressedRepo, p.number, body, by)
	must(p.t, err)
	return p.reactions(id)
}

func (p *pressing) reactions(id int64) string {
	p.t.Helper()
	p.turn()
	for _, c := range p.hub.Comments(pressedRepo, p.number) {
		if c.ID == id {
			return strings.Join(c.Reactions, " ")
		}
	}
	p.t.Fatalf("comment %d is gone", id)
	return ""
}

// answered checks what became of the last command.
func (p *pressing) answered(done bool, text string) {
	p.t.Helper()
	a := p.update().Answer
	if a == nil || a.Done != done || !strings.Contains(a.Text, text) {
		p.t.Fatalf("the answer is %+v, want done %v with %q", a, done, text)
	}
	count := 0
	for _, c := range p.hub.Comments(pressedRepo, p.number) {
		if strings.HasPrefix(c.Body, "<!-- nixfleet:update -->") {
			count++
		}
	}
	if count != 1 {
		p.t.Errorf("%d comments of ours", count)
	}
}

func TestCommandsOfPeopleWhoMayWrite(t *testing.T) {
	t.Parallel()
	p := newPressing(t)
	p.clock.forward(time.Minute)
	for _, c := range []struct {
		by, body, reaction string
		done               bool
		answer             string
		state              fleet.UpdateState
	}{
		{"ada", "/nixfleet status", "+1", true, "holding: Merges", fleet.UpdateHolding},
		{"ada", "/nixfleet help", "+1", true, "/nixfleet unhold: release the hold", fleet.UpdateHolding},
		{"ada", "/nixfleet mergee", "confused", false, `did you mean "merge"?`, fleet.UpdateHolding},
		{"ada", "/nixfleet unhold", "confused", false, "No person holds it.", fleet.UpdateHolding},
		{"ada", "/nixfleet pause", "confused", false, "There is no rollout of this update.", fleet.UpdateHolding},
		{"ada", "/nixfleet deploy", "confused", false, "It is not merged", fleet.UpdateHolding},
		{"eve", "/nixfleet merge", "-1", false, "It is not merged", fleet.UpdateHolding},
		{"renovate[bot]", "/nixfleet merge", "", false, "It is not merged", fleet.UpdateHolding},
		{"ada", "What about `/nixfleet merge`?", "", false, "It is not merged", fleet.UpdateHolding},
		{"ada", "/nixfleet hold 2d", "+1", true, "It is held until", fleet.UpdateReady},
		{"ada", "/nixfleet hold until 2001-01-01", "confused", false, "is over already", fleet.UpdateReady},
		{"ada", "Well then.\n\n/nixfleet unhold", "+1", true, "The hold of ada", fleet.UpdateHolding},
		{"ada", "/nixfleet merge --no-deploy", "+1", true, "without a deploy is asked for", fleet.UpdateMerged},
		{"ada", "/nixfleet merge", "confused", false, "is merged already", fleet.UpdateMerged},
		{"ada", "/nixfleet deploy web1", "confused", false, "no enrolled host of this repository has the name web1", fleet.UpdateMerged},
		{"ada", "/nixfleet deploy", "+1", true, "is started", fleet.UpdateMerged},
		{"ada", "/nixfleet resume", "confused", false, "The rollout is planned, so it can't be resumed.", fleet.UpdateMerged},
		{"ada", "/nixfleet abort", "+1", true, "is aborted", fleet.UpdateMerged},
		{"ada", "/nixfleet deploy", "confused", false, "it is aborted", fleet.UpdateMerged},
		{"ada", "/nixfleet rollback", "confused", false, "No host has to go back", fleet.UpdateMerged},
	} {
		p.clock.forward(10 * time.Second)
		if got := p.write(c.by, c.body); got != c.reaction {
			t.Fatalf("%s wrote %q: reactions %q, want %q", c.by, c.body, got, c.reaction)
		}
		p.answered(c.done, c.answer)
		if u := p.update(); u.State != c.state {
			t.Fatalf("%s wrote %q: it is %s (%s), want %s", c.by, c.body, u.State, u.Verdict.Headline, c.state)
		}
	}
}

func TestCommandsThatDoNotCount(t *testing.T) {
	t.Parallel()
	p := newPressing(t)
	p.clock.forward(time.Minute)

	// Edited before it was read.
	remove := p.hub.Inject(forgetest.Fault{Method: "GET", Path: "/repos/*/issues/comments/*", Times: -1, Status: 502})
	id, err := p.hub.AddComment(pressedRepo, p.number, "/nixfleet merge", "ada")
	must(t, err)
	p.turn()
	p.clock.forward(time.Second)
	must(t, p.hub.EditComment(pressedRepo, id, "/nixfleet merge --no-deploy", "ada"))
	remove()
	p.clock.forward(10 * time.Minute)
	if got := p.reactions(id); got != "" || p.update().Request != nil {
		t.Errorf("edited: reactions %q, request %+v", got, p.update().Request)
	}

	// Written while another head was on show.
	p.push()
	p.green()
	p.turn()
	p.clock.forward(-5 * time.Second)
	id, err = p.hub.AddComment(pressedRepo, p.number, "/nixfleet merge", "ada")
	must(t, err)
	p.clock.forward(5 * time.Second)
	if got := p.reactions(id); got != "confused" {
		t.Errorf("for another head: reactions %q", got)
	}
	p.answered(false, "The head moved")

	// Brought twice.
	list := p.hub.Deliveries()
	i := slices.IndexFunc(list, func(d forgetest.Delivery) bool { return d.Event == "issue_comment" })
	must(t, p.hub.Redeliver(list[i].ID))
	p.turn()
	if u := p.update(); u.State != fleet.UpdateHolding || u.Request != nil {
		t.Errorf("it is %s, request %+v", u.State, u.Request)
	}
}
