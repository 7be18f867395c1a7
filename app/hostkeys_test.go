package app

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/nixfleet/nixfleet/agent"
	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/agentbus/bustest"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge"
	"github.com/nixfleet/nixfleet/forge/forgetest"
)

func TestAHostChangesItsKey(t *testing.T) {
	t.Parallel()
	r := newFleet(t)
	e := r.agentOf(t, "web1", r.token(t, "web1"))
	old, err := agent.Enroll(t.Context(), e)
	must(t, err)
	link := bustest.Link(t, old.Bus())
	bustest.Eventually(t, "a connection", link.Connected)
	r.clock.forward(time.Minute)
	now, err := agent.ChangeKey(t.Context(), e)
	must(t, err)
	bustest.Eventually(t, "the old key to be refused", func() bool { return !link.Connected() })
	if err := agentbus.FreshRoundTrip(t.Context(), old.Bus()); err == nil {
		t.Error("the old key still opens the bus")
	}
	must(t, agentbus.FreshRoundTrip(t.Context(), now.Bus()))
	must(t, link.Renew(now.Bus()))
	bustest.Eventually(t, "the same link with the new key", link.Connected)

	kept, err := agent.LoadIdentity(e.StateDir)
	must(t, err)
	if string(kept.Seed) != string(now.Seed) || string(kept.Seed) == string(old.Seed) || kept.LastGen != old.LastGen {
		t.Error("the new key is not what the host goes on with")
	}
	r.ask(t, old.Seed, "web1", "").refused(t, http.StatusForbidden, "another key")
	history, err := r.db.History(t.Context(), 1)
	must(t, err)
	if history[0].Kind != "host.key_changed" || history[0].Actor != "host:web1" {
		t.Errorf("the history says %+v", history[0])
	}
}

// The server or the host may die at any moment of a change: before a request is
// read, or before its answer arrives. The host always has a key that works, and
// the next attempt ends what was begun.
func TestAChangeOfKeyMayBeInterruptedAnywhere(t *testing.T) {
	t.Parallel()
	for broken := range 4 {
		r := newFleet(t)
		var requests atomic.Int64
		road := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			n := int(requests.Add(1)) - 2 // without the enrolment
			if n == broken/2 && broken%2 == 0 {
				panic(http.ErrAbortHandler)
			}
			if n == broken/2 {
				r.enroll(httptest.NewRecorder(), q)
				panic(http.ErrAbortHandler)
			}
			r.enroll(w, q)
		}))
		t.Cleanup(road.Close)
		e := r.agentOf(t, "web1", r.token(t, "web1"))
		e.Server = road.URL
		old, err := agent.Enroll(t.Context(), e)
		must(t, err)
		r.clock.forward(time.Minute)
		if _, err := agent.ChangeKey(t.Context(), e); err == nil {
			t.Fatalf("broken at %d: no error", broken)
		}
		if err := agentbus.FreshRoundTrip(t.Context(), old.Bus()); (err != nil) != (broken == 3) {
			t.Errorf("broken at %d: the old key: %v", broken, err)
		}
		now, err := agent.ChangeKey(t.Context(), e)
		must(t, err)
		must(t, agentbus.FreshRoundTrip(t.Context(), now.Bus()))
		if err := agentbus.FreshRoundTrip(t.Context(), old.Bus()); err == nil {
			t.Errorf("broken at %d: the old key is still good", broken)
		}
	}
}

// Nobody changes the key of another host, nor has their own certified as another's.
func TestAChangeOfKeyNeedsBothKeys(t *testing.T) {
	t.Parallel()
	r := newFleet(t)
	mine, _ := bustest.HostKey(t)
	theirs, _ := bustest.HostKey(t)
	next, _ := bustest.HostKey(t)
	r.ask(t, mine, "web1", r.token(t, "web1"))
	r.ask(t, theirs, "web2", r.token(t, "web2"))
	change := func(host string, old, next []byte, edit func(*agentbus.EnrollRequest)) answer {
		t.Helper()
		return r.change(t, host, old, next, edit)
	}
	as := func(*agentbus.EnrollRequest) {}
	change("web2", mine, next, as).refused(t, http.StatusForbidden)
	change("web1", mine, theirs, as).refused(t, http.StatusForbidden)
	change("web1", next, mine, func(q *agentbus.EnrollRequest) { q.OldSig = q.Sig }).refused(t, http.StatusForbidden, "not signed")
	change("web1", mine, next, func(q *agentbus.EnrollRequest) { q.OldSig = nil }).refused(t, http.StatusForbidden, "not signed")
	r.ask(t, next, "web1", "").refused(t, http.StatusForbidden)
	if a := change("web1", mine, next, as); a.Code != http.StatusOK {
		t.Fatalf("with both: %+v", a)
	}
	r.ask(t, next, "web2", "").refused(t, http.StatusForbidden)
	must(t, r.db.RevokeHost(t.Context(), "web1", "ada", r.clock.now()))
	r.ask(t, next, "web1", "").refused(t, http.StatusForbidden)
}

// Who holds a host's key may offer any number of keys. None of them opens the bus
// once the host is revoked, though the server remembers the last one only.
func TestWhatWasOnlyOfferedEndsWithTheHost(t *testing.T) {
	t.Parallel()
	r := newFleet(t)
	mine, _ := bustest.HostKey(t)
	r.ask(t, mine, "web1", r.token(t, "web1"))
	var offered []agentbus.HostConfig
	for range 2 {
		next, _ := bustest.HostKey(t)
		a := r.change(t, "web1", mine, next, func(*agentbus.EnrollRequest) {})
		if a.Code != http.StatusOK {
			t.Fatalf("an offer: %+v", a)
		}
		offered = append(offered, agentbus.HostConfig{
			URLs: a.URLs, Host: "web1", Fleet: a.Fleet, UserJWT: a.JWT, Seed: next, OrderKeys: a.OrderKeys, CA: []byte(a.CA),
		})
	}
	r.clock.forward(time.Minute)
	must(t, r.db.RevokeHost(t.Context(), "web1", "ada", r.clock.now()))
	must(t, r.cutOff(t.Context()))
	for i, cfg := range offered {
		if err := agentbus.FreshRoundTrip(t.Context(), cfg); err == nil {
			t.Errorf("offer %d is still let in", i)
		}
	}
}

// Each change leaves a key that the bus has to refuse for a month, so a host can't
// fill the bus with them.
func TestAHostChangesItsKeyNowAndThen(t *testing.T) {
	t.Parallel()
	r := newFleet(t)
	as := func(*agentbus.EnrollRequest) {}
	key, _ := bustest.HostKey(t)
	r.ask(t, key, "web1", r.token(t, "web1"))
	for range changesAtOnce {
		next, _ := bustest.HostKey(t)
		if a := r.change(t, "web1", key, next, as); a.Code != http.StatusOK {
			t.Fatalf("an offer: %+v", a)
		}
		if a := r.ask(t, next, "web1", ""); a.Code != http.StatusOK {
			t.Fatalf("its use: %+v", a)
		}
		key = next
	}
	next, _ := bustest.HostKey(t)
	r.change(t, "web1", key, next, as).refused(t, http.StatusTooManyRequests, "too often")
	if a := r.ask(t, key, "web1", ""); a.Code != http.StatusOK {
		t.Errorf("a renewal meanwhile: %+v", a)
	}
	r.clock.forward(changeEvery)
	if a := r.change(t, "web1", key, next, as); a.Code != http.StatusOK {
		t.Errorf("after a while: %+v", a)
	}
}

func (r *replica) change(t *testing.T, host string, old, next []byte, edit func(*agentbus.EnrollRequest)) answer {
	t.Helper()
	req, err := agentbus.SignChange(old, next, agentbus.EnrollRequest{Host: host, At: r.clock.now().UnixMilli()})
	must(t, err)
	edit(&req)
	body, err := json.Marshal(req)
	must(t, err)
	return r.post(t, body)
}

func TestAHostGetsATokenThatOnlyItCanOpen(t *testing.T) {
	t.Parallel()
	r := newFleet(t)
	hub := forgetest.NewForTest(t, forgetest.Options{})
	id, err := hub.AddRepo(forgetest.Repo{Name: "o/secret", Private: true})
	must(t, err)
	r.forge, err = forge.New(forge.Config{APIURL: hub.APIURL(), AppID: hub.AppID, PrivateKey: hub.PrivateKeyPEM, UserAgent: "test", Now: time.Now, Log: r.App.log})
	must(t, err)
	repo := fleet.Repo{ID: id, Installation: hub.InstallationID("o/secret"), Owner: "o", Name: "secret", DefaultBranch: "main"}
	must(t, r.db.Record(t.Context(), r.clock.now(), fleet.InstallationChanged{ID: repo.Installation, Account: "o", Added: []fleet.Repo{repo}}))
	must(t, r.db.CreateHost(t.Context(), db.NewHost{Host: fleet.Host{RepoID: id, Name: "web1", Attr: "nixosConfigurations.web1"}, TokenHash: hash("t"), Expires: r.clock.now().Add(time.Hour)}, r.clock.now()))
	me, err := agent.Enroll(t.Context(), r.agentOf(t, "web1", "t"))
	must(t, err)

	ask := func(seed []byte, host string) (int, string, agentbus.Sealed) {
		t.Helper()
		req, err := agentbus.SignRepoToken(seed, agentbus.RepoTokenRequest{Host: host, At: r.clock.now().UnixMilli()})
		must(t, err)
		body, err := json.Marshal(req)
		must(t, err)
		w := httptest.NewRecorder()
		r.repoToken(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", bytes.NewReader(body)))
		var sealed agentbus.Sealed
		_ = json.Unmarshal(w.Body.Bytes(), &sealed)
		return w.Code, w.Body.String(), sealed
	}
	code, text, sealed := ask(me.Seed, "web1")
	var token agentbus.RepoToken
	if code != http.StatusOK {
		t.Fatalf("%d %s", code, text)
	}
	must(t, sealed.Open(me.Curve, &token))
	if token.Repo != "https://github.com/o/secret.git" || token.Token == "" || !time.UnixMilli(token.Expires).After(time.Now()) {
		t.Errorf("a token for %s until %v", token.Repo, time.UnixMilli(token.Expires))
	}
	if strings.Contains(text, token.Token) || strings.Contains(r.log.String(), token.Token) {
		t.Error("the token can be read on the way")
	}
	other, err := nkeys.CreateCurveKeys()
	must(t, err)
	seed, err := other.Seed()
	must(t, err)
	if err := sealed.Open(seed, &token); err == nil {
		t.Error("another host can open it")
	}

	stranger, _ := bustest.HostKey(t)
	if code, _, _ := ask(stranger, "web1"); code != http.StatusForbidden {
		t.Errorf("a stranger: %d", code)
	}
	for range askAtOnce - 1 {
		if code, text, _ := ask(me.Seed, "web1"); code != http.StatusOK {
			t.Errorf("%d %s", code, text)
		}
	}
	if code, _, _ := ask(me.Seed, "web1"); code != http.StatusTooManyRequests {
		t.Errorf("asked again and again: %d", code)
	}
	r.clock.forward(time.Hour)
	must(t, r.db.RevokeHost(t.Context(), "web1", "ada", r.clock.now()))
	if code, _, _ := ask(me.Seed, "web1"); code != http.StatusForbidden {
		t.Errorf("a revoked host: %d", code)
	}
	if _, err := r.db.HostByKey(t.Context(), "nobody"); !errors.Is(err, db.ErrNotFound) {
		t.Error(err)
	}
}
