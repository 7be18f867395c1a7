package agent

import (
	"context"
	"errors"
	"time"

	"github.com/nixfleet/nixfleet/agentbus"
)

// Looks before a switch: the pause between those for a network, and how often
// systemd is asked until it says which units have failed.
const (
	baselinePause = time.Second
	baselineUnits = 3
)

// baseline looks at the host just before a switch. While nothing at all can be
// reached it waits, for limit at most: after a switch nobody could tell whether
// that is what broke the network.
func (t *task) baseline(ctx context.Context, limit time.Duration) (baseline, error) {
	anchors := t.anchors()
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for told := false; ; told = true {
		r, bus := t.cfg.probe(limited, anchors)
		if !r.nothing() {
			before := baseline{Reach: r, Units: t.unitsBefore(ctx)}
			if before.Units.Problem != "" {
				t.log.printf("which units had failed before the switch is not known: %s", before.Units.Problem)
			}
			return before, ctx.Err()
		}
		if !told {
			t.log.printf("waiting for a network to switch with: %v", bus)
		}
		pause(limited, baselinePause)
		switch {
		case ctx.Err() != nil:
			return baseline{}, ctx.Err()
		case limited.Err() != nil:
			return baseline{}, failed(agentbus.StepBuilding, "no_network", errors.New(
				"neither the bus nor any anchor answers, so it could not be told whether the switch keeps the network; nothing was changed"))
		}
	}
}

// unitsBefore asks again where systemd does not answer: what had failed before the
// switch would else be held against it.
func (t *task) unitsBefore(ctx context.Context) (u units) {
	for n := range baselineUnits {
		if n > 0 {
			pause(ctx, baselinePause)
		}
		if u = failedUnits(ctx, t.cfg.systemctl(), t.cfg.Platform); u.Problem == "" || ctx.Err() != nil {
			break
		}
	}
	return u
}
