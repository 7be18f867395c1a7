package app

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/agent"
	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/agentbus/bustest"
	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

// A machine that was set up anew has lost its key. An operator lets it in again;
// the old disk, should it still run somewhere, is out from that moment.
func TestAMachineThatWasSetUpAnewEnrolsAgain(t *testing.T) {
	t.Parallel()
	r := newFleet(t)
	first := r.agentOf(t, "web1", r.token(t, "web1"))
	old, err := agent.Enroll(t.Context(), first)
	must(t, err)
	link := bustest.Link(t, old.Bus())
	bustest.Eventually(t, "a connection", link.Connected)

	r.clock.forward(time.Minute)
	admin := &api.Client{Server: r.url, Token: adminSecret}
	got, err := admin.NewHost(t.Context(), api.NewHost{Name: "web1", Again: true})
	must(t, err)
	bustest.Eventually(t, "the old machine to be cut off", func() bool { return !link.Connected() })
	r.ask(t, old.Seed, "web1", "").refused(t, http.StatusForbidden, "--again")
	r.ask(t, old.Seed, "web1", first.Token).refused(t, http.StatusForbidden)
	beat := db.Beat{Host: "web1", At: r.clock.now(), Facts: fleet.HostFacts{RunningPath: "/nix/store/forged"}}
	must(t, r.db.SaveBeats(t.Context(), []db.Beat{beat}))

	anew, err := agent.Enroll(t.Context(), r.agentOf(t, "web1", got.Token))
	must(t, err)
	must(t, agentbus.FreshRoundTrip(t.Context(), anew.Bus()))
	if err := agentbus.FreshRoundTrip(t.Context(), old.Bus()); err == nil {
		t.Error("the old machine is back on the bus")
	}
	if anew.Attr != old.Attr || len(anew.Tags) != 1 || anew.Tags[0] != "canary" {
		t.Errorf("enrolled as %s with %v", anew.Attr, anew.Tags)
	}
	hosts, err := r.db.Hosts(t.Context())
	must(t, err)
	if len(hosts) != 1 || hosts[0].Facts.RunningPath != "" {
		t.Errorf("what a revoked host says counts: %+v", hosts)
	}
	history, err := r.db.History(t.Context(), 10)
	must(t, err)
	var kinds []string
	for _, h := range history {
		kinds = append(kinds, h.Actor+" "+h.Kind)
	}
	if got := strings.Join(kinds, ", "); got != "host:web1 host.enrolled, admin (local) host.readmitted, admin (local) host.revoked, host:web1 host.enrolled, admin (local) host.added" {
		t.Errorf("the history says %s", got)
	}
	if strings.Contains(r.log.String(), got.Token) {
		t.Error("the log holds the token")
	}
	if _, err := admin.NewHost(t.Context(), api.NewHost{Name: "nobody", Again: true}); err == nil || !strings.Contains(err.Error(), "No host is named nobody") {
		t.Errorf("a host that is not known: %v", err)
	}
	if _, _, err := r.NewHost(t.Context(), fleet.Actor{}, api.NewHost{Name: "web2"}); !errors.Is(err, api.ErrInvalid) {
		t.Errorf("a new host without attribute: %v", err)
	}
}

// A bus that was away during a revocation, or was replaced since, is told again.
func TestTheBusCatchesUpWithRevocations(t *testing.T) {
	t.Parallel()
	r := newFleet(t)
	id, err := agent.Enroll(t.Context(), r.agentOf(t, "web1", r.token(t, "web1")))
	must(t, err)
	r.clock.forward(time.Minute)
	must(t, r.db.RevokeHost(t.Context(), "web1", "ada", r.clock.now())) // and the server dies here
	must(t, agentbus.FreshRoundTrip(t.Context(), id.Bus()))
	must(t, r.cutOff(t.Context()))
	if err := agentbus.FreshRoundTrip(t.Context(), id.Bus()); err == nil {
		t.Error("it is still let in")
	}
	r.clock.forward(hostJWTTTL + time.Hour)
	must(t, r.cutOff(t.Context()))
	if keys, err := r.db.RevokedKeys(t.Context(), time.Time{}); err != nil || len(keys) != 0 {
		t.Errorf("keys without a valid certificate are kept: %v, %v", keys, err)
	}
}

func TestWhoGuessesTokensHasToWait(t *testing.T) {
	t.Parallel()
	r := newFleet(t)
	seed, _ := bustest.HostKey(t)
	token := r.token(t, "web1")
	other, _ := bustest.HostKey(t)
	r.ask(t, other, "web2", r.token(t, "web2"))
	for range failuresAtOnce {
		r.ask(t, seed, "web1", "a guess").refused(t, http.StatusForbidden)
	}
	for range 2 { // waiting in line does not make the line longer
		r.ask(t, seed, "web1", token).refused(t, http.StatusTooManyRequests, "Wait")
	}
	if a := r.ask(t, other, "web2", ""); a.Code != http.StatusOK {
		t.Errorf("a host that renews from the same address: %+v", a)
	}
	r.clock.forward(failureEvery)
	if a := r.ask(t, seed, "web1", token); a.Code != http.StatusOK {
		t.Errorf("after a while: %+v", a)
	}
	for range 3 * failuresAtOnce { // what goes well is not counted: hosts may share an address
		if a := r.ask(t, seed, "web1", ""); a.Code != http.StatusOK {
			t.Fatalf("a renewal: %+v", a)
		}
	}
}

func TestLimitsKeepTheirMemoryBounded(t *testing.T) {
	t.Parallel()
	now := time.Now()
	l := newLimits(time.Minute, 1, func() time.Time { return now })
	l.count("first")
	for i := range 2 * manyLimits {
		l.count(strconv.Itoa(i))
	}
	if len(l.of) > manyLimits {
		t.Errorf("%d limits are kept", len(l.of))
	}
	if got := l.wait(strconv.Itoa(2*manyLimits - 1)); got != time.Minute {
		t.Errorf("the last one waits %v", got)
	}
}
