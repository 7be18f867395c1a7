package agentbus_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/agentbus/bustest"
)

// The largest answers that an agent may make fit on the bus: a lock beside facts, or
// the results for a full order to evaluate.
func TestTheLargestAnswersArrive(t *testing.T) {
	t.Parallel()
	bus := bustest.Start(t)
	host := bustest.Link(t, bus.Host(t, "web1"))
	bustest.Eventually(t, "the connection", host.Connected)
	facts := agentbus.Observation{Errors: map[string]string{"build": strings.Repeat("x", 48<<10)}}
	lock := agentbus.Answer{Order: "o1", Seq: 1, Step: agentbus.StepHealthy, Facts: &facts, Lock: bytes.Repeat([]byte{0xff}, agentbus.MaxLock)}
	evaluated := agentbus.Answer{Order: "o2", Seq: 1, Step: agentbus.StepHealthy, Facts: &facts}
	for i := range agentbus.MaxEvaluated {
		evaluated.Evaluated = append(evaluated.Evaluated, agentbus.Evaluated{
			Attr: fmt.Sprintf("nixosConfigurations.%s%d", strings.Repeat("a", 97), i), Error: strings.Repeat("\n", 400),
		})
	}
	for _, a := range []agentbus.Answer{lock, evaluated} {
		if err := host.Answer(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var got []agentbus.Received
	_ = bus.Control.Answers(ctx, 0, func(_ context.Context, batch []agentbus.Received) error {
		if got = append(got, batch...); len(got) == 2 {
			cancel()
		}
		return nil
	})
	if len(got) != 2 || !bytes.Equal(got[0].Answer.Lock, lock.Lock) || len(got[1].Answer.Evaluated) != agentbus.MaxEvaluated {
		t.Fatalf("%d answers arrived", len(got))
	}

	// What is larger is refused by the host's own end, in words.
	lock.Lock = append(lock.Lock, 1)
	evaluated.Evaluated = append(evaluated.Evaluated, agentbus.Evaluated{})
	for want, a := range map[string]agentbus.Answer{"at most 122880": lock, "101 evaluations": evaluated} {
		if err := host.Answer(t.Context(), a); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want …%s…", err, want)
		}
	}
	o := order("web1", 1)
	o.Kind, o.Evaluate = agentbus.KindRefresh, make([]string, agentbus.MaxEvaluated+1)
	if err := bus.Control.Send(t.Context(), []agentbus.Order{o}); err == nil || !strings.Contains(err.Error(), "101 evaluations") {
		t.Errorf("an order for too many: %v", err)
	}
}
