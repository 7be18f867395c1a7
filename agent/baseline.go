package agent

import (
	"context"
	"errors"
	"time"

	"github.com/nixfleet/nixfleet/agentbus"
)

// baselinePause is the pause between looks for a network before a switch.
const baselinePause = time.Second

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
			before := baseline{Reach: r, Units: failedUnits(ctx, t.cfg.systemctl())}
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
