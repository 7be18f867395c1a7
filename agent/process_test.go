package agent

import "testing"

func TestProcessIsToldFromALaterOne(t *testing.T) {
	t.Parallel()
	p := process{PID: 7, Start: "100", Session: 5, Boot: "b"}
	for _, tt := range []struct {
		name    string
		boot    string
		members []member
		want    bool
	}{
		{"it lives", "b", []member{{pid: 7, start: "100", session: 5}}, true},
		{"nothing is left", "b", nil, false},
		{"its parent has not taken notice yet", "b", []member{{pid: 7, start: "100", session: 5, dead: true}}, false},
		{"only a child is left", "b", []member{{pid: 9, start: "120", session: 5}}, true},
		{"a child of a dead one is left", "b", []member{{pid: 7, start: "100", session: 5, dead: true}, {pid: 9, start: "120", session: 5}}, true},
		{"the id is another's now", "b", []member{{pid: 7, start: "300", session: 5}}, false},
		{"the id was another's, in another session", "b", []member{{pid: 9, start: "300", session: 6}}, false},
		{"the machine has restarted", "c", []member{{pid: 7, start: "100", session: 5}}, false},
	} {
		if got := p.lives(tt.boot, tt.members); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
	if (process{}).lives("", []member{{}}) {
		t.Error("no process lives")
	}
}
