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

// Bounds of one look at the host after a switch.
const (
	checkTimeout = 20 * time.Second
	checkPause   = time.Second
)

// finding is what is wrong after a switch; lasting means that waiting does not
// mend it.
type finding struct {
	code    string
	err     error
	lasting bool
}

// decide checks that all is well after an activation and says so to the
// supervisor, or says what is not. The verdict that counts may be the
// supervisor's, if its patience ended first.
func (t *task) decide(ctx context.Context, d jobDir, j job, act activated) (verdict, error) {
	var v verdict
	if ok, err := d.read(verdictFile, &v); ok || err != nil {
		return v, err // an earlier process, or the supervisor, has decided
	}
	// The agent gives up before the supervisor does, because it can say what is
	// wrong.
	limited, cancel := context.WithTimeout(ctx, j.VerifyTimeout*3/4)
	defer cancel()
	bad := t.verify(limited, j, act)
	if ctx.Err() != nil {
		return v, ctx.Err()
	}
	v = verdict{Keep: bad == nil, At: t.cfg.Now().UnixMilli()}
	if bad != nil {
		t.log.printf("not well: %v", bad.err)
		v.Code, v.Reason = bad.code, clip(bad.err.Error(), 1000)
	}
	return d.decide(v)
}

// verify looks again and again until all is well, something is wrong for good,
// or the time is up.
func (t *task) verify(ctx context.Context, j job, act activated) *finding {
	for {
		bad := t.look(ctx, j, act)
		if bad == nil || bad.lasting {
			return bad
		}
		pause(ctx, checkPause)
		if ctx.Err() != nil {
			return bad
		}
	}
}

func (t *task) look(ctx context.Context, j job, act activated) *finding {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if bad := checkPaths(j, act); bad != nil {
		return bad
	}
	if err := t.cfg.FreshRoundTrip(ctx); err != nil {
		return &finding{code: "unreachable", err: fmt.Errorf("no new connection to the bus came about: %w", err)}
	}
	for _, check := range t.order.Policy.Health {
		if err := t.checkHealth(ctx, check); err != nil {
			return &finding{code: "unhealthy", err: err}
		}
	}
	var fresh []string
	for _, unit := range failedUnits(ctx) {
		if !slices.Contains(j.FailedUnits, unit) {
			fresh = append(fresh, unit)
		}
	}
	if len(fresh) > 0 {
		return &finding{code: "units_failed", err: fmt.Errorf("units failed that had not before: %s", strings.Join(fresh, ", ")), lasting: true}
	}
	return nil
}

// checkPaths looks whether the host has become what it was to become.
func checkPaths(j job, act activated) *finding {
	link, what := j.Paths.Current, "runs"
	if act.ExitCode == exitNeedsReboot {
		link, what = j.Paths.Profile, "would be booted"
	}
	if at := readLink(link); at != j.Target {
		return &finding{
			code: "not_running", lasting: true,
			err: fmt.Errorf("the activation ended well, but %s %s and not %s", or(at, "no known system"), what, j.Target),
		}
	}
	return nil
}

// checkHealth carries out one check of the policy's deploy.health.
func (t *task) checkHealth(ctx context.Context, c agentbus.HealthCheck) error {
	switch {
	case c.Unit != "":
		if err := t.try(ctx, "systemctl", "is-active", "--quiet", "--", c.Unit); err != nil {
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
