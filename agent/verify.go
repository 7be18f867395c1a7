package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/agentbus"
)

// Bounds of a look at the host after a switch. Each part has its own: a bus that
// does not answer must not take the time to see that all else is well.
const (
	reachTimeout = 10 * time.Second
	checkTimeout = 20 * time.Second // of one health check
	checkPause   = time.Second
)

// finding is what is wrong after a switch; lasting means that waiting does not
// mend it.
type finding struct {
	code    string
	err     error
	lasting bool
}

// Codes of findings.
const (
	findNotRunning   = "not_running"
	findUnitsFailed  = "units_failed"
	findUnitsUnknown = "units_unknown"
	findUnhealthy    = "unhealthy"
	findServerDown   = "server_down"  // all else is well
	findNetworkLost  = "network_lost" // nothing that answered before answers now
)

// decide checks that all is well after an activation, and stays so, and says so to
// the supervisor, or says what is not. The verdict that counts may be the
// supervisor's, if its patience ended first.
func (t *task) decide(ctx context.Context, d jobDir, j job, act activated) (verdict, error) {
	var v verdict
	if ok, err := d.read(verdictFile, &v); ok || err != nil {
		return v, err // an earlier process, or the supervisor, has decided
	}
	v, err := t.verify(ctx, d, j, act)
	if err != nil {
		return v, err
	}
	if !v.Keep {
		t.log.printf("not well: %s", v.Reason)
	}
	v.At = t.cfg.Now().UnixMilli()
	return d.decide(v)
}

// verify looks again and again until its patience knows enough. A look may take
// long; it is cut off in time for the agent to speak before the supervisor does.
func (t *task) verify(ctx context.Context, d jobDir, j job, act activated) (verdict, error) {
	now := t.cfg.Now()
	left := t.waitingSince(d, j).Add(j.VerifyTimeout).Sub(now)
	limited, cancel := context.WithTimeout(ctx, left*7/8+j.Settle)
	defer cancel()
	p := patience{
		settle: j.Settle, until: now.Add(left * 3 / 4),
		alone: t.order.Policy.Unreachable != unreachableRollback,
	}
	for {
		began := t.cfg.Now()
		bad := t.look(limited, j, act)
		if ctx.Err() != nil {
			return verdict{}, ctx.Err()
		}
		v, wait := p.see(bad, began, t.cfg.Now())
		if v != nil {
			return *v, nil
		}
		pause(ctx, wait)
	}
}

// unreachableRollback is the policy that a host goes back even where only the
// server is down.
const unreachableRollback = "rollback"

// waitingSince is when the supervisor began to wait, as far as its mark can be
// trusted: it is of this boot, and of a time that can be.
func (t *task) waitingSince(d jobDir, j job) time.Time {
	now := t.cfg.Now()
	var w waiting
	if ok, err := d.read(waitingFile, &w); err != nil || !ok || w.Boot != t.bootID {
		return now
	}
	if since := now.Sub(time.UnixMilli(w.At)); since > 0 && since < j.VerifyTimeout {
		return now.Add(-since)
	}
	return now
}

// look is one look at everything. That only the server is down is said last, when
// all else is well.
func (t *task) look(ctx context.Context, j job, act activated) *finding {
	if bad := checkPaths(j, act); bad != nil {
		return bad
	}
	now, bus := t.cfg.probe(ctx, t.anchors())
	state := now.since(j.Before.Reach)
	if state == networkLost {
		return &finding{code: findNetworkLost, err: fmt.Errorf("neither the bus nor anything else that answered before the switch answers now: %w", bus)}
	}
	if bad := checkUnits(j.Before.Units, failedUnits(ctx, j.Systemctl, j.Platform), act); bad != nil {
		return bad
	}
	for _, check := range t.order.Policy.Health {
		if err := t.checkHealth(ctx, check); err != nil {
			return &finding{code: findUnhealthy, err: err}
		}
	}
	if state == serverDown {
		return &finding{code: findServerDown, err: fmt.Errorf("the server is down, the network is fine (%s answers): %w", strings.Join(now.Anchors, ", "), bus)}
	}
	return nil
}

// checkPaths looks whether the host has become what it was to become.
func checkPaths(j job, act activated) *finding {
	if act.ExitCode == exitNeedsReboot {
		j.Action = actBoot // until then
	}
	if at, what := j.misses(j.Target); at != "" {
		return &finding{code: findNotRunning, lasting: true, err: fmt.Errorf("the activation ended well, but %s %s", at, what)}
	}
	return nil
}

// checkUnits compares the failed units with those before the switch.
func checkUnits(before, now units, act activated) *finding {
	fresh := now.since(before)
	switch {
	case len(fresh) > 0 && before.Known:
		return &finding{code: findUnitsFailed, lasting: true, err: fmt.Errorf("units failed that had not before: %s", unitList(fresh))}
	case len(fresh) > 0:
		return &finding{code: findUnitsFailed, lasting: true, err: fmt.Errorf("units failed, and it is not known which of them had before: %s", unitList(fresh))}
	case now.Problem != "":
		return &finding{code: findUnitsUnknown, err: fmt.Errorf("it is not known which units failed: %s", now.Problem)}
	case !now.Known && act.ExitCode == exitUnitsFailed:
		return &finding{code: findUnitsFailed, lasting: true, err: errors.New("the activation says that some units did not start, and there is no systemd to ask which")}
	}
	return nil
}

// unitList is units as a person reads them; there may be hundreds.
func unitList(names []string) string {
	const most = 10
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// checkHealth carries out one check of the policy's deploy.health.
func (t *task) checkHealth(ctx context.Context, c agentbus.HealthCheck) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	switch {
	case c.Unit != "":
		ask := []string{"systemctl", "is-active", "--quiet", "--", c.Unit}
		if t.cfg.Platform == Home {
			ask = slices.Insert(ask, 1, "--user")
		}
		if err := t.try(ctx, t.cfg.tool(ask)...); err != nil {
			return fmt.Errorf("unit %s is not active", c.Unit)
		}
	case c.HTTP != "":
		if err := checkHTTP(ctx, c.HTTP); err != nil {
			return fmt.Errorf("health check over HTTP: %w", err)
		}
	case len(c.Command) > 0:
		if err := t.try(ctx, c.Command...); err != nil {
			return fmt.Errorf("health check by command: %w", err)
		}
	}
	return nil
}

func (t *task) try(ctx context.Context, argv ...string) error {
	_, err := run(ctx, command{argv: argv, env: environ(), dir: "/", stream: t.log.write, loud: true})
	return err
}

func checkHTTP(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return errors.New("the policy's address is not a URL")
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s answered %s", url, resp.Status)
	}
	return nil
}
