package agent

import (
	"os"
	"strings"
	"testing"

	"github.com/nixfleet/nixfleet/agentbus"
)

// Heartbeats go by what systemd said a moment ago; answers ask it.
func TestIdlingDoesNotAskSystemdAgainAndAgain(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.start()
	asked := func() int {
		data, _ := os.ReadFile(m.path("calls"))
		return strings.Count(string(data), "list-units")
	}
	eventually(t, "ten heartbeats", func() bool { return m.beatsSeen() >= 10 })
	if n := asked(); n != 1 {
		t.Errorf("asked %d times before ten heartbeats, want once", n)
	}
	m.await(m.send(agentbus.KindRefresh, ""), agentbus.StepHealthy)
	if n := asked(); n != 2 {
		t.Errorf("asked %d times after an answer, want twice", n)
	}
}

func (r *rig) beatsSeen() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.beats)
}
