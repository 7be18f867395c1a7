package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/agent"
	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/agentbus/bustest"
	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/db/dbtest"
	"github.com/nixfleet/nixfleet/fleet"
)

// newFleet is a replica with a bus and one watched repository.
func newFleet(t *testing.T) *replica {
	t.Helper()
	r := newReplica(t, dbtest.New(t))
	r.clock.at.Store(time.Now().UnixNano()) // certificates are dated by the real one
	bus := bustest.Start(t)
	r.keys, r.bus, r.door.urls = bus.Keys, bus.Control, []string{bus.Broker.URL()}
	repo := fleet.Repo{ID: 7, Installation: 3, Owner: "o", Name: "nixcfg", DefaultBranch: "main"}
	must(t, r.db.Record(t.Context(), r.clock.now(), fleet.InstallationChanged{ID: 3, Account: "o", Added: []fleet.Repo{repo}}))
	return r
}

// token adds a host as `nixfleet hosts enroll` does.
func (r *replica) token(t *testing.T, host string) string {
	t.Helper()
	client := &api.Client{Server: r.url, Token: adminSecret}
	got, err := client.NewHost(t.Context(), api.NewHost{Name: host, Attr: "nixosConfigurations." + host, Tags: []string{"canary"}})
	must(t, err)
	return got.Token
}

// agentOf is what the agent of a host enrols with.
func (r *replica) agentOf(t *testing.T, host, token string) agent.Enrolment {
	t.Helper()
	return agent.Enrolment{Server: r.url, Token: token, Host: host, StateDir: t.TempDir(), Now: r.clock.now}
}

// answer is what the server says to an enrolment request.
type answer struct {
	Code   int
	Type   string
	Status int    `json:"status"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	agentbus.EnrollReply
}

func (r *replica) post(t *testing.T, body []byte) (a answer) {
	t.Helper()
	resp, err := http.Post(r.url+"/api/v1/enroll", "application/json", bytes.NewReader(body))
	must(t, err)
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	must(t, json.Unmarshal(text, &a))
	a.Code, a.Type = resp.StatusCode, resp.Header.Get("Content-Type")
	return a
}

// ask posts a request that is signed with the key whose seed is given.
func (r *replica) ask(t *testing.T, seed []byte, host, token string) answer {
	t.Helper()
	return r.post(t, r.signed(t, seed, host, token))
}

func (r *replica) signed(t *testing.T, seed []byte, host, token string) []byte {
	t.Helper()
	req, err := agentbus.SignEnroll(seed, agentbus.EnrollRequest{Host: host, Token: token, At: r.clock.now().UnixMilli()})
	must(t, err)
	body, err := json.Marshal(req)
	must(t, err)
	return body
}

// refused checks that an answer is problem+json that says what was found and what
// to do.
func (a answer) refused(t *testing.T, code int, says ...string) {
	t.Helper()
	if a.Code != code || a.Status != code || a.Type != "application/problem+json" || a.JWT != "" {
		t.Errorf("answer %+v, want problem+json with %d and no credential", a, code)
	}
	for _, s := range says {
		if !strings.Contains(a.Detail, s) {
			t.Errorf("refused with %q, want it to say %q", a.Detail, s)
		}
	}
}

func TestAHostEnrolsOnceAndJoinsTheBus(t *testing.T) {
	t.Parallel()
	r := newFleet(t)
	token := r.token(t, "web1")
	id, err := agent.Enroll(t.Context(), r.agentOf(t, "web1", token))
	must(t, err)
	if id.Host != "web1" || id.Fleet != r.keys.FleetID() || id.Repo != "https://github.com/o/nixcfg.git" || id.Branch != "main" ||
		id.Attr != "nixosConfigurations.web1" || len(id.Tags) != 1 || id.Tags[0] != "canary" {
		t.Errorf("enrolled as %+v", id.EnrollReply)
	}
	must(t, agentbus.FreshRoundTrip(t.Context(), id.Bus()))

	_, err = agent.Enroll(t.Context(), r.agentOf(t, "web1", token))
	if err == nil || !strings.Contains(err.Error(), "nixfleet hosts enroll web1") {
		t.Errorf("another machine with the same token: %v, want the command that makes a new one", err)
	}
	if _, err := (&api.Client{Server: r.url, Token: adminSecret}).NewHost(t.Context(), api.NewHost{Name: "web1", Attr: "nixosConfigurations.web1"}); err == nil || !strings.Contains(err.Error(), "Revoke it first") {
		t.Errorf("a new token for an enrolled host: %v", err)
	}
	if strings.Contains(r.log.String(), token) {
		t.Error("the log holds the token")
	}
}

// The reply to a host may be lost after the server has written the host down.
func TestEnrolmentIsRepeatedAfterALostReply(t *testing.T) {
	t.Parallel()
	r := newFleet(t)
	var lost atomic.Bool
	road := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if !lost.Swap(true) {
			r.enroll(httptest.NewRecorder(), q)
			panic(http.ErrAbortHandler)
		}
		r.enroll(w, q)
	}))
	t.Cleanup(road.Close)
	e := r.agentOf(t, "web1", r.token(t, "web1"))
	e.Server = road.URL
	if id, err := agent.Enroll(t.Context(), e); err == nil {
		t.Fatalf("the reply was lost and yet: %+v", id)
	}
	if hosts, err := r.db.Hosts(t.Context()); err != nil || len(hosts) != 1 || hosts[0].EnrolledAt.IsZero() {
		t.Fatalf("the server has %+v, %v, want it enrolled", hosts, err)
	}
	id, err := agent.Enroll(t.Context(), e)
	must(t, err)
	must(t, agentbus.FreshRoundTrip(t.Context(), id.Bus()))
	enrolled := 0
	history, err := r.db.History(t.Context(), 100)
	must(t, err)
	for _, h := range history {
		if h.Kind == "host.enrolled" {
			enrolled++
		}
	}
	if enrolled != 1 {
		t.Errorf("the history has %d enrolments, want one", enrolled)
	}
}

func TestEnrolmentIsRefused(t *testing.T) {
	t.Parallel()
	r := newFleet(t)
	stale := r.token(t, "old1")
	seed, _ := bustest.HostKey(t)
	other, _ := bustest.HostKey(t)
	_ = r.token(t, "web2")
	if a := r.ask(t, other, "taken1", r.token(t, "taken1")); a.Code != http.StatusOK {
		t.Fatalf("enrol taken1: %+v", a)
	}
	r.clock.forward(enrolTokenTTL)
	replaced := r.token(t, "web1")
	token := r.token(t, "web1")

	r.failures = newLimits(time.Nanosecond, 100, r.clock.now) // not what this is about
	r.ask(t, seed, "web2", token).refused(t, http.StatusForbidden, "for another host", "nixfleet hosts enroll web2")
	r.ask(t, seed, "nobody", token).refused(t, http.StatusForbidden, "nixfleet hosts enroll nobody")
	r.ask(t, seed, "old1", stale).refused(t, http.StatusForbidden, "expired", "nixfleet hosts enroll old1")
	r.ask(t, seed, "web1", replaced).refused(t, http.StatusForbidden, "nixfleet hosts enroll web1")
	r.ask(t, seed, "web1", "made up").refused(t, http.StatusForbidden, "nixfleet hosts enroll web1")
	r.ask(t, other, "web1", token).refused(t, http.StatusForbidden, "Another host has this key", "seed.nk")
	r.ask(t, seed, "../web1", token).refused(t, http.StatusForbidden)
	r.post(t, bytes.Replace(r.signed(t, seed, "web2", token), []byte("web2"), []byte("web1"), 1)).refused(t, http.StatusForbidden, "not signed by the key")
	r.post(t, []byte(`{"host":`)).refused(t, http.StatusBadRequest, "not an enrolment request")
	r.post(t, []byte(`{"host":"`+strings.Repeat("x", maxEnrolBody)+`"}`)).refused(t, http.StatusBadRequest, "too large")
	early := r.signed(t, seed, "web1", token)
	r.clock.forward(11 * time.Minute)
	r.post(t, early).refused(t, http.StatusForbidden, "set the host's clock")

	for _, h := range r.overview(t).Hosts {
		if !h.Host.EnrolledAt.IsZero() && h.Host.Name != "taken1" {
			t.Errorf("%s is enrolled after refusals only", h.Host.Name)
		}
	}
	if a := r.ask(t, seed, "web1", token); a.Code != http.StatusOK {
		t.Errorf("the refusals used up the token: %+v", a)
	}
}

func (r *replica) overview(t *testing.T) fleet.Overview {
	t.Helper()
	o, err := overview{r.App}.Overview(t.Context())
	must(t, err)
	return o
}

func TestACredentialIsRenewedByItsKeyOnly(t *testing.T) {
	t.Parallel()
	r := newFleet(t)
	e := r.agentOf(t, "web1", r.token(t, "web1"))
	first, err := agent.Enroll(t.Context(), e)
	must(t, err)
	r.clock.forward(15 * 24 * time.Hour)
	e.Token = ""
	renewed, err := agent.Enroll(t.Context(), e)
	must(t, err)
	if renewed.JWT == "" || string(renewed.Seed) != string(first.Seed) {
		t.Error("renewal must certify the same key")
	}
	must(t, agentbus.FreshRoundTrip(t.Context(), renewed.Bus()))

	unknown, _ := bustest.HostKey(t)
	r.ask(t, unknown, "web1", "").refused(t, http.StatusForbidden, "key", "nixfleet hosts enroll web1")
	_ = r.token(t, "web2")
	r.ask(t, first.Seed, "web2", "").refused(t, http.StatusForbidden, "nixfleet hosts enroll web2")

	must(t, service{r.App}.RevokeHost(t.Context(), fleet.Actor{Login: "admin"}, "web1"))
	if err := agentbus.FreshRoundTrip(t.Context(), renewed.Bus()); err == nil {
		t.Error("a revoked host still gets onto the bus")
	}
	r.ask(t, first.Seed, "web1", "").refused(t, http.StatusForbidden, "revoked", "nixfleet hosts enroll web1")
	if a := r.ask(t, first.Seed, "web1", r.token(t, "web1")); a.Code != http.StatusOK {
		t.Errorf("a revoked host with a new token: %+v", a)
	}
}

func TestEnrolmentWithoutADatabaseIsTriedAgain(t *testing.T) {
	t.Parallel()
	r := newFleet(t)
	seed, _ := bustest.HostKey(t)
	token := r.token(t, "web1")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	w := httptest.NewRecorder()
	r.enroll(w, httptest.NewRequestWithContext(gone, http.MethodPost, "/api/v1/enroll", bytes.NewReader(r.signed(t, seed, "web1", token))))
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "Try again") {
		t.Errorf("answer %d %s", w.Code, w.Body)
	}
	if a := r.ask(t, seed, "web1", token); a.Code != http.StatusOK {
		t.Errorf("afterwards: %+v", a)
	}
}

func TestANewHostNeedsAWatchedRepository(t *testing.T) {
	t.Parallel()
	r := newFleet(t)
	_, _, err := r.NewHost(t.Context(), fleet.Actor{Login: "a"}, api.NewHost{Name: "web1", Attr: "nixosConfigurations.web1", Repo: "o/other"})
	if !errors.Is(err, api.ErrInvalid) || !strings.Contains(err.Error(), "install the App on it first") {
		t.Errorf("got %v", err)
	}
	if _, err := (&api.Client{Server: r.url, Token: "wrong"}).NewHost(t.Context(), api.NewHost{Name: "web1", Attr: "nixosConfigurations.web1"}); err == nil || !strings.Contains(err.Error(), "not known") {
		t.Errorf("a stranger adds a host: %v", err)
	}
	if n := len(r.overview(t).Hosts); n != 0 {
		t.Errorf("%d hosts were made", n)
	}
}
