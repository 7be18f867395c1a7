package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/api"
)

// pollEvery is how often `nixfleet setup` looks how far things have come.
const pollEvery = 2 * time.Second

type setupCmd struct {
	serverFlags
	Wait          time.Duration `help:"How long to wait for the person at the browser." default:"1h"`
	ProposePolicy bool          `help:"In the end, open a pull request with a policy file to begin with." negatable:""`
}

// Run leads through the set-up from a terminal, also over SSH: what needs a browser is
// an address to open anywhere.
func (c *setupCmd) Run(e *env) error {
	ctx, cancel := context.WithTimeoutCause(e.ctx, c.Wait, errors.New("nobody finished the set-up in time; run this again to go on"))
	defer cancel()
	if c.Token == "" {
		return c.withoutToken(ctx, e)
	}
	state, err := c.client().Setup(ctx)
	if err != nil {
		return err
	}
	say := func(format string, args ...any) {
		if !c.JSON {
			_, _ = fmt.Fprintf(e.out, format+"\n", args...)
		}
	}
	if state.Problem != "" {
		say("Mind this: %s\n", state.Problem)
	}
	if state.App == nil {
		link, expires, err := c.client().LoginLink(ctx, "set-up", "admin")
		if err != nil {
			return err
		}
		say("1. Open this address in a browser, on any machine (once, until %s):\n\n   %s\n\n   and press \"Create the App on GitHub\". Waiting…", expires.UTC().Format("15:04 UTC"), link)
		if state, err = c.until(ctx, func(s api.Setup) bool { return s.App != nil }); err != nil {
			return err
		}
	}
	say("The GitHub App %s is there: %s", state.App.Slug, state.App.Page)
	if len(state.Repos) == 0 {
		say("\n2. Install it on the repository that holds your flake:\n\n   %s\n\n   Waiting…", state.InstallURL)
		if state, err = c.until(ctx, func(s api.Setup) bool { return len(s.Repos) > 0 }); err != nil {
			return err
		}
	}
	if c.ProposePolicy {
		if err := c.propose(ctx, &state); err != nil {
			return err
		}
	}
	if c.JSON {
		return json.NewEncoder(e.out).Encode(state)
	}
	for _, r := range state.Repos {
		say("NixFleet watches %s. %s", r.Name, policyWords(r))
	}
	say("\nNext: `nixfleet doctor` checks that all of it works; `nixfleet hosts enroll NAME` adds a host.")
	return nil
}

// policyWords says what a repository has for a policy.
func policyWords(r api.SetupRepo) string {
	switch r.Policy {
	case "file":
		return "Its policy: " + r.URL
	case "proposed":
		return "Merge the pull request with its policy: " + r.URL
	case "declined":
		return "The pull request with a policy was closed, so the defaults hold: " + r.URL
	case "none":
		return "It has no policy file, so the defaults hold; --propose-policy opens a pull request with one."
	}
	return "Its policy could not be read just now."
}

func (c *setupCmd) propose(ctx context.Context, state *api.Setup) error {
	for i, r := range state.Repos {
		if r.Policy != "none" {
			continue
		}
		got, err := c.client().ProposePolicy(ctx, r.Name)
		if err != nil {
			return err
		}
		state.Repos[i] = got
	}
	return nil
}

// until polls the server. While the product begins it may be away for a moment.
func (c *setupCmd) until(ctx context.Context, done func(api.Setup) bool) (api.Setup, error) {
	for {
		if err := pause(ctx); err != nil {
			return api.Setup{}, err
		}
		s, err := c.client().Setup(ctx)
		if err == nil && done(s) {
			return s, nil
		}
		if err != nil && ctx.Err() == nil && strings.Contains(err.Error(), " 40") { // refused, e.g. the token is wrong by now
			return s, err
		}
	}
}

func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(pollEvery):
		return nil
	}
}

// withoutToken prints where to go, and waits until the server has an App.
func (c *setupCmd) withoutToken(ctx context.Context, e *env) error {
	ready, err := c.settingUp(ctx)
	if err != nil {
		return err
	}
	if ready == "" {
		_, err := fmt.Fprintf(e.out, "%s has its GitHub App. For the rest set NIXFLEET_TOKEN to the admin token, or open %[1]s/setup.\n", c.Server)
		return err
	}
	_, _ = fmt.Fprintf(e.out, "Open %s/setup in a browser. It asks for the admin token (NIXFLEET_ADMIN_TOKEN_FILE of the server),\n"+
		"or use the one-time address that the server wrote to its log when it started. Waiting…\n", strings.TrimSuffix(c.Server, "/"))
	for ready != "" {
		if err := pause(ctx); err != nil {
			return err
		}
		if now, err := c.settingUp(ctx); err == nil {
			ready = now
		}
	}
	_, err = fmt.Fprintln(e.out, "The GitHub App is there. The page in the browser leads on.")
	return err
}

// settingUp asks what a server without an App says of itself, which needs no token.
func (c *setupCmd) settingUp(ctx context.Context) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(c.Server, "/")+"/readyz", nil)
	if err != nil {
		return "", err
	}
	resp, err := (&http.Client{Timeout: 10 * time.Second}).Do(req)
	if err != nil {
		return "", &api.UnreachableError{Server: c.Server, Err: err}
	}
	defer func() { _ = resp.Body.Close() }()
	var ready struct {
		GitHub string `json:"github"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(nil, resp.Body, 1<<16)).Decode(&ready); err != nil {
		return "", fmt.Errorf("%s/readyz is not what NixFleet answers; set NIXFLEET_SERVER to its address", c.Server)
	}
	return ready.GitHub, nil
}

type doctorCmd struct{ serverFlags }

// errUnwell ends the command with exit code 1 once the findings are printed.
var errUnwell = errors.New("something is wrong; the findings above say what to do")

// Run prints what the server finds, each with its remedy.
func (c *doctorCmd) Run(e *env) error {
	report, err := c.client().Examine(e.ctx)
	if err != nil {
		return err
	}
	report = c.addClock(report, time.Now())
	if c.JSON {
		if err := json.NewEncoder(e.out).Encode(report); err != nil {
			return err
		}
	} else {
		printFindings(e, report)
	}
	if !report.OK {
		return errUnwell
	}
	return nil
}

// ownSkewMost is how far this machine's clock may be from the server's: agents and
// one-time addresses go by both.
const ownSkewMost = time.Minute

// addClock compares this machine's clock with the server's.
func (c *doctorCmd) addClock(r api.Report, now time.Time) api.Report {
	skew := now.Sub(r.At).Round(time.Second)
	if skew.Abs() > ownSkewMost {
		r.Findings = append(slices.Clip(r.Findings), api.Finding{Check: "this machine's clock", State: "note",
			Found: fmt.Sprintf("It differs from the server's by %s.", skew.Abs()), Remedy: "Set the one that is wrong, e.g. with NTP."})
	}
	return r
}

func printFindings(e *env, r api.Report) {
	wide := 0
	for _, f := range r.Findings {
		wide = max(wide, len(f.Check))
	}
	for _, f := range r.Findings {
		_, _ = fmt.Fprintf(e.out, "%-7s  %-*s  %s\n", f.State, wide, f.Check, f.Found)
		if f.Remedy != "" {
			_, _ = fmt.Fprintf(e.out, "%*s-> %s\n", 7+2+wide+2, "", f.Remedy)
		}
	}
	if r.OK {
		_, _ = fmt.Fprintln(e.out, "\nNothing is wrong.")
	}
}
