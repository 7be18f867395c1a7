package agent

import (
	"testing"

	"github.com/nixfleet/nixfleet/agentbus"
)

// A full disk cuts a write short, and the journal takes back what reached it.
func TestJournalGoesOnAfterAWriteThatWasTakenBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := openLedger(t, dir)
	if err := l.accept(testOrder(1, agentbus.KindDeploy)); err != nil {
		t.Fatal(err)
	}
	if _, err := l.journal.file.WriteString(`{"answer":{"v":1,`); err != nil {
		t.Fatal(err)
	}
	if err := l.journal.file.Truncate(l.journal.size); err != nil {
		t.Fatal(err)
	}
	if err := l.begin("o1", agentbus.Answer{Step: agentbus.StepSwitching}); err != nil {
		t.Fatal(err)
	}
	if err := l.journal.close(); err != nil {
		t.Fatal(err)
	}
	again := openLedger(t, dir)
	defer func() { _ = again.journal.close() }()
	rec := again.snapshot()
	if w, ok := rec.work("o1"); !ok || !w.begun() {
		t.Errorf("the begin of the switch is forgotten: %+v", rec)
	}
}
