package agent

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"time"
)

// How often the agent restarts for the same new program, and the least pause
// between two tries: the service may still name the old one while a system is
// being activated. Three tries are over within a minute.
const (
	maxRenewals  = 3
	renewalPause = 20 * time.Second
)

// renewal is what was done to become the agent of the running system.
type renewal struct {
	To    string `json:"to,omitempty"` // store path of that agent
	Tries int    `json:"tries,omitempty"`
	At    int64  `json:"at,omitempty"` // Unix milliseconds, of the last try
}

// due reports whether to try to become the agent at path. A clock that was set
// back must not keep it from that.
func (r renewal) due(path string, now time.Time) bool {
	if r.To != path {
		return true
	}
	since := now.Sub(time.UnixMilli(r.At))
	return r.Tries < maxRenewals && (since >= renewalPause || since < 0)
}

var storePattern = regexp.MustCompile(`^.*/[0-9a-z]{32}-[^/]+`)

// storeOutput is the store path that a file belongs to, or "".
func storeOutput(file string) string { return storePattern.FindString(file) }

// installed is the link by which the running system names its agent.
func (c *Config) installed() string {
	if c.Platform == Home {
		return filepath.Join(c.Paths.Current, "home-path/bin/nixfleet-agent")
	}
	return filepath.Join(c.Paths.Current, "sw/bin/nixfleet-agent")
}

// successor is the agent of the running system, where that is not this one. An
// agent that does not come from a store has none, nor where the system names none.
func (a *Agent) successor() string {
	own, next := storeOutput(a.cfg.Program), storeOutput(readLink(a.cfg.installed()))
	if own == "" || next == own || a.cfg.guest() {
		return ""
	}
	return next
}

// renewProgram restarts the agent where the running system has another one. It is called
// between two orders, whose answers are in the journal.
func (a *Agent) renewProgram(ctx context.Context) {
	next, now := a.successor(), a.cfg.Now()
	if next == "" || !a.notes.get().Renewal.due(next, now) {
		return
	}
	err := a.notes.update(func(n *notes) {
		if n.Renewal.To != next {
			n.Renewal = renewal{To: next}
		}
		n.Renewal.Tries, n.Renewal.At = n.Renewal.Tries+1, now.UnixMilli()
	})
	if err != nil { // then nothing would keep it from trying for ever
		a.cfg.Log("restart: " + err.Error())
		return
	}
	a.cfg.Log(fmt.Sprintf("the running system has another agent, %s: restarting", next))
	argv := a.cfg.tool(a.cfg.Platform.executor().restart(a.cfg.Unit))
	if _, err := run(ctx, command{argv: argv, env: environ(), dir: "/", timeout: commandTimeout}); err != nil && ctx.Err() == nil {
		a.cfg.Log("restart: " + err.Error())
	}
}
