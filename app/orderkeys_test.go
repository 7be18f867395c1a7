package app

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/nixfleet/nixfleet/agent"
	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/agentbus/bustest"
	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/fleet"
)

// A key that hosts don't know can't be used: they would refuse every order, and
// nothing but a walk to each machine would mend that.
func TestAnOrderKeyIsUsedWhenAllHostsKnowIt(t *testing.T) {
	t.Parallel()
	r := newFleet(t)
	s, ada := service{r.App}, fleet.Actor{Login: "ada"}
	e := r.agentOf(t, "web1", r.token(t, "web1"))
	id, err := agent.Enroll(t.Context(), e)
	must(t, err)
	_, err = agent.Enroll(t.Context(), r.agentOf(t, "gone", r.token(t, "gone")))
	must(t, err)
	must(t, r.db.RevokeHost(t.Context(), "gone", "ada", r.clock.now()))
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	t.Cleanup(func() { stop(); wg.Wait() })
	wg.Go(func() { _ = r.readBeats(ctx) })

	link := bustest.Link(t, id.Bus())
	// beat is what an agent does: it says what it knows, and renews when it is asked to.
	beat := func() {
		_ = link.Heartbeat(agentbus.Heartbeat{At: r.clock.now().UnixMilli(), Observed: agentbus.Observation{OrderKeys: agentbus.KeyIDs(id.OrderKeys)}})
		select {
		case <-link.Summons():
			e.Token = ""
			id, err = agent.Enroll(t.Context(), e)
			must(t, err)
			must(t, link.Renew(id.Bus()))
		default:
		}
	}
	known := func(key string) bool {
		beat()
		k, err := s.key(t.Context(), func(k api.OrderKey) bool { return k.ID == key })
		must(t, err)
		return k.Known == 1 && len(k.Missing) == 0
	}
	old := agentbus.KeyIDs(r.keys.OrderKeys())[0]
	bustest.Eventually(t, "the host to say what it knows", func() bool { return known(old) })
	added, err := s.AddOrderKey(t.Context(), ada)
	must(t, err)
	if err := s.UseOrderKey(t.Context(), ada, added.ID, false); !errors.Is(err, api.ErrInvalid) || !strings.Contains(err.Error(), "web1 would refuse") {
		t.Errorf("used before it is known: %v", err)
	}
	r.clock.forward(summonEvery)
	bustest.Eventually(t, "the host to learn of the key", func() bool { return known(added.ID) })
	must(t, s.UseOrderKey(t.Context(), ada, added.ID, false))
	if err := s.RetireOrderKey(t.Context(), ada, added.ID, true); !errors.Is(err, api.ErrInvalid) {
		t.Errorf("the key that signs was retired: %v", err)
	}
	must(t, s.RetireOrderKey(t.Context(), ada, old, false))
	r.clock.forward(summonEvery)
	bustest.Eventually(t, "the host to drop the old key", func() bool { beat(); return len(id.OrderKeys) == 1 })
	if err := s.UseOrderKey(t.Context(), ada, old, true); !errors.Is(err, api.ErrUnknown) {
		t.Errorf("a key that is gone: %v", err)
	}
	history, err := r.db.History(t.Context(), 3)
	must(t, err)
	if history[0].Kind != "key.retired" || history[1].Kind != "key.used" || history[2].Kind != "key.added" || history[0].Actor != "ada" {
		t.Errorf("the history says %+v", history)
	}
}
