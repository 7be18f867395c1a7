package agent

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// maxUnits bounds how many failed units are told apart.
const maxUnits = 1000

// units is which of the host's units have failed.
type units struct {
	Failed  []string `json:"failed,omitempty"`
	Known   bool     `json:"known"`             // false: systemd could not be asked, or there is none
	Problem string   `json:"problem,omitempty"` // why it could not be asked; "" where there is none
}

// failedUnits asks systemd by way of systemctl; "" means that there is none. The
// units of a home are those of its person.
func failedUnits(ctx context.Context, systemctl string, p Platform) units {
	if systemctl == "" {
		return units{}
	}
	argv := []string{systemctl, "list-units", "--failed", "--plain", "--no-legend", "--no-pager"}
	if p == Home {
		argv = append(argv, "--user")
	}
	res, err := run(ctx, command{
		argv: argv,
		env:  environ("LC_ALL=C"), dir: "/", timeout: systemctlTimeout,
	})
	if err != nil {
		return units{Problem: clip(fmt.Sprintf("list failed units: %v", err), 300)}
	}
	u := units{Known: true}
	for line := range strings.Lines(string(res.stdout)) {
		if f := strings.Fields(line); len(f) > 0 && len(u.Failed) < maxUnits {
			u.Failed = append(u.Failed, clip(f[0], 200))
		}
	}
	return u
}

// since are the failed units that had not failed before.
func (u units) since(before units) []string {
	var fresh []string
	for _, unit := range u.Failed {
		if !slices.Contains(before.Failed, unit) {
			fresh = append(fresh, unit)
		}
	}
	return fresh
}

// systemctl is the program to ask systemd with; "" where systemd does not run, or
// not for the person whose home it is.
func (c *Config) systemctl() string {
	if c.Tools == "" && (!RunsSystemd() || c.Platform == Home && !runsForUser()) {
		return ""
	}
	program := c.tool([]string{"systemctl"})[0]
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	return program
}

// runsForUser reports whether systemd runs for the person that the agent works for.
func runsForUser() bool {
	dir := os.Getenv("XDG_RUNTIME_DIR")
	_, err := os.Stat(filepath.Join(dir, "systemd/private"))
	return dir != "" && err == nil
}
