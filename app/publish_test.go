package app

import (
	"testing"
	"time"
)

const (
	editComment = "PATCH /repos/{owner}/{repo}/issues/comments/{comment_id}"
	editRun     = "PATCH /repos/{owner}/{repo}/check-runs/{check_run_id}"
)

// edits counts the writes to our comment and our check run since the last reset.
func (p *pressing) edits() (comment, run int) {
	calls := p.hub.Calls()
	return calls[editComment].Full, calls[editRun].Full
}

func TestManyChangesAreOneEdit(t *testing.T) {
	t.Parallel()
	p := newPressing(t)
	p.clock.forward(editEvery)
	p.hub.ResetCalls()
	for range 5 {
		must(t, p.hub.SetDraft(pressedRepo, p.number, true, "ada"))
		p.turn()
		must(t, p.hub.SetDraft(pressedRepo, p.number, false, "ada"))
		p.turn()
	}
	if comment, run := p.edits(); comment != 1 || run != 1 {
		t.Errorf("within a moment: %d edits of the comment and %d of the check run, want one each", comment, run)
	}
	p.clock.forward(editEvery)
	p.turn()
	if comment, run := p.edits(); comment != 2 || run != 2 {
		t.Errorf("a moment later: %d edits of the comment and %d of the check run, want two each", comment, run)
	}
	p.says("It is a draft.", false)
}

func TestNothingIsEditedWhileNothingChanges(t *testing.T) {
	t.Parallel()
	p := newPressing(t)
	p.clock.forward(editEvery)
	p.turn()
	p.hub.ResetCalls()
	for range 8 {
		p.clock.forward(5 * time.Minute)
		p.turn()
	}
	if comment, run := p.edits(); comment != 0 || run != 0 {
		t.Errorf("%d edits of the comment and %d of the check run for nothing", comment, run)
	}
}
