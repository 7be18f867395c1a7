package fleet

import (
	"testing"
	"time"
)

func TestWhichHostMakesALock(t *testing.T) {
	t.Parallel()
	host := func(name string, change func(*Host)) Host {
		h := Host{Name: name, RepoID: 1, Mode: "fleet", EnrolledAt: noon, LastSeen: noon}
		if change != nil {
			change(&h)
		}
		return h
	}
	tagged := func(h *Host) { h.Tags = []string{EvaluatorTag} }
	busy := func(h *Host) { h.Facts.Working = true }
	away := func(h *Host) { h.LastSeen = noon.Add(-time.Hour); tagged(h) }
	manual := func(h *Host) { h.Mode = "manual" }
	for _, c := range []struct {
		name  string
		hosts []Host
		want  string
	}{
		{"an evaluator", []Host{host("a", nil), host("b", tagged)}, "b"},
		{"an evaluator that works", []Host{host("a", nil), host("b", func(h *Host) { tagged(h); busy(h) })}, "b"},
		{"one that is online", []Host{host("a", away), host("b", busy)}, "b"},
		{"one that is free", []Host{host("a", busy), host("b", manual)}, "b"},
		{"one that takes part in rollouts", []Host{host("a", manual), host("b", nil), host("c", nil)}, "b"},
		{"none of another repository", []Host{host("a", func(h *Host) { h.RepoID = 2 })}, ""},
		{"none that is revoked", []Host{host("a", func(h *Host) { h.RevokedAt = noon })}, ""},
		{"none that never enrolled", []Host{host("a", func(h *Host) { h.EnrolledAt = time.Time{} })}, ""},
	} {
		got, ok := PickForInputs(c.hosts, 1, noon)
		if got.Name != c.want || ok != (c.want != "") {
			t.Errorf("%s: %q, %v; want %q", c.name, got.Name, ok, c.want)
		}
	}
}
