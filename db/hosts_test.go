package db_test

import (
	"errors"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

func TestEnrolment(t *testing.T) {
	t.Parallel()
	host := fleet.Host{RepoID: 7, Name: "web1", Attr: "nixosConfigurations.web1", Tags: []string{"web", "canary"}}
	token := []byte("hash")
	for name, c := range map[string]struct {
		token []byte
		name  string
		key   string
		after time.Duration
		want  error
	}{
		"with its token":        {token, "web1", "UKEY", 0, nil},
		"with another token":    {[]byte("x"), "web1", "UKEY", 0, db.ErrNotFound},
		"for another host":      {token, "web2", "UKEY", 0, db.ErrNotFound},
		"when the token is old": {token, "web1", "UKEY", time.Hour, db.ErrNotFound},
		"without a key":         {token, "web1", "", 0, db.ErrNotFound},
		"with another's key":    {token, "web1", "Uweb9", 0, db.ErrConflict},
		"with a hostile name":   {token, "web1\x00", "UKEY", 0, db.ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.hosts("web9")
			must(t, w.d.CreateHost(t.Context(), db.NewHost{Host: host, TokenHash: token, Expires: t0.Add(time.Hour)}, t0))
			got, err := w.d.EnrollHost(t.Context(), c.token, c.name, c.key, w.after(c.after))
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if c.want != nil {
				return
			}
			want := host
			want.ID, want.Mode, want.EnrolledAt = got.ID, "fleet", w.now
			equal(t, "host", got, want)
			byKey, err := w.d.HostByKey(t.Context(), c.key)
			must(t, err)
			equal(t, "host by key", byKey, want)
		})
	}
}

func TestTokenIsForOneMachine(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1")
	if _, err := w.d.EnrollHost(t.Context(), []byte("token of web1"), "web1", "Uweb1", w.after(time.Minute)); err != nil {
		t.Errorf("the same machine again, whose first reply was lost: %v", err)
	}
	if _, err := w.d.EnrollHost(t.Context(), []byte("token of web1"), "web1", "Uother", w.now); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("another machine: %v, want ErrNotFound", err)
	}
	again := fleet.Host{Name: "web1", Attr: "nixosConfigurations.web1"}
	if err := w.d.CreateHost(t.Context(), db.NewHost{Host: again, TokenHash: []byte("x"), Expires: t0.Add(time.Hour)}, t0); !errors.Is(err, db.ErrConflict) {
		t.Errorf("a new token for an enrolled host: %v, want ErrConflict", err)
	}
}

func TestRevokedHostMayEnrolAnewAndKeepsItsGeneration(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1")
	w.issue(w.order("A", "web1", "", "c"))
	for range 2 {
		must(t, w.d.RevokeHost(t.Context(), "web1", "ada", w.after(time.Second)))
	}
	if n := w.count(`select count(*) from history where kind = 'host.revoked'`); n != 1 {
		t.Errorf("%d lines of history for one revocation", n)
	}
	if _, err := w.d.EnrollHost(t.Context(), []byte("token of web1"), "web1", "Uweb1", w.now); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("with the old token: %v, want ErrNotFound", err)
	}
	must(t, w.d.SaveBeats(t.Context(), []db.Beat{{Host: "web1", At: w.now}}))
	if h, err := w.d.HostByKey(t.Context(), "Uweb1"); err != nil || !h.LastSeen.IsZero() || h.RevokedAt.IsZero() {
		t.Errorf("a revoked host is heard: %+v, %v", h, err)
	}
	must(t, w.d.CreateHost(t.Context(), db.NewHost{Host: fleet.Host{Name: "web1", Attr: "homeConfigurations.x"}, TokenHash: []byte("new"), Expires: w.now.Add(time.Hour)}, w.now))
	h, err := w.d.EnrollHost(t.Context(), []byte("new"), "web1", "Unew", w.now)
	must(t, err)
	if h.LastGen != 1 || !h.RevokedAt.IsZero() {
		t.Errorf("host = %+v, want it back with generation 1", h)
	}
	if err := w.d.RevokeHost(t.Context(), "none", "ada", w.now); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("an unknown host: %v, want ErrNotFound", err)
	}
	if _, err := w.d.HostByKey(t.Context(), ""); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("no key: %v, want ErrNotFound", err)
	}
}

func TestRevokedHostWakesItsRollouts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1")
	w.running("R1", "ccc", "web1")
	err := w.d.RevokeHost(t.Context(), "web1", "ada", w.now)
	must(t, err)
	if c := w.claimRollout("R1"); c.Hosts["web1"].RevokedAt.IsZero() {
		t.Error("the rollout does not see it")
	}
}

func TestBeatsKeepTheNewest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1", "web2")
	at := func(s int) time.Time { return t0.Add(time.Duration(s) * time.Second) }
	beat := func(host string, s int) db.Beat {
		return db.Beat{Host: host, At: at(s), Facts: fleet.HostFacts{At: at(s), Uptime: time.Duration(s) * time.Second}}
	}
	must(t, w.d.SaveBeats(t.Context(), nil))
	must(t, w.d.SaveBeats(t.Context(), []db.Beat{beat("web1", 5), beat("web1", 9), beat("web1", 7), beat("unknown", 1), beat("web2", 3)}))
	must(t, w.d.SaveBeats(t.Context(), []db.Beat{beat("web1", 8), {Host: "web2", At: at(9)}}))
	must(t, w.d.SaveBeats(t.Context(), []db.Beat{{Host: "web2", At: at(12)}})) // too soon to matter
	hosts, err := w.d.Hosts(t.Context())
	must(t, err)
	for i, want := range []struct{ seen, facts int }{{9, 9}, {9, 3}} {
		h := hosts[i]
		if !h.LastSeen.Equal(at(want.seen)) || h.Facts.Uptime != time.Duration(want.facts)*time.Second {
			t.Errorf("%s was seen at %v with facts of %v, want %+v", h.Name, h.LastSeen, h.Facts.Uptime, want)
		}
	}
}

func TestHostThatComesBackWakesTheRolloutThatWaitsForIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1")
	w.running("R1", "ccc", "web1")
	_, err := w.d.Pool().Exec(t.Context(), `update rollout_hosts set state = 'offline'; update rollouts set due_at = null`)
	must(t, err)
	must(t, w.d.SaveBeats(t.Context(), []db.Beat{{Host: "web1", At: w.now}}))
	c := w.claimRollout("R1")
	must(t, w.d.SaveRollout(t.Context(), c, fleet.Move{State: c.Rollout.State, Hosts: c.Rollout.Hosts}, nil, nil, w.now))
	must(t, w.d.SaveBeats(t.Context(), []db.Beat{{Host: "web1", At: w.after(15 * time.Second)}}))
	if claims, err := w.d.ClaimRollouts(t.Context(), w.now, lease, 1); err != nil || len(claims) != 0 {
		t.Errorf("a host that was there all the time woke %v, %v", claims, err)
	}
}

func TestANewcomerShowsHowFarItIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	must(t, w.d.CreateHost(t.Context(), db.NewHost{
		Host: fleet.Host{RepoID: w.repo.ID, Name: "web1", Attr: "nixosConfigurations.web1", Mode: "manual"}, TokenHash: []byte("x"), Expires: t0.Add(time.Hour), By: "ada",
	}, t0))
	n, err := w.d.Newcomer(t.Context(), "web1")
	must(t, err)
	if !n.Waits() || !n.Expires.Equal(t0.Add(time.Hour)) || n.Repo != "o/r7" || n.Host.Mode != "manual" {
		t.Errorf("before it came it is %+v", n)
	}
	_, err = w.d.EnrollHost(t.Context(), []byte("x"), "web1", "U1", t0)
	must(t, err)
	if n, err = w.d.Newcomer(t.Context(), "web1"); err != nil || n.Waits() {
		t.Errorf("once it is there it is %+v, %v", n, err)
	}
	if n := w.count(`select count(*) from history where kind = 'host.added' and actor = 'ada' and not detail ? 'token'`); n != 1 {
		t.Errorf("that it was added stands %d times in the history", n)
	}
	if _, err := w.d.Newcomer(t.Context(), "nobody"); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("an unknown host is %v", err)
	}
}
