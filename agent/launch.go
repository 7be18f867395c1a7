package agent

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// launch starts the supervisor on a job, out of the agent's reach: in a
// transient unit, or in a session of its own. The process it returns is nil for
// a unit; otherwise it is to be waited for once the job has an outcome.
func (c *Config) launch(ctx context.Context, d jobDir) (*exec.Cmd, error) {
	argv := append(append([]string(nil), c.Supervisor...), d.path(jobFile))
	if c.Transient {
		_, err := run(ctx, command{argv: c.transient(d, argv), env: environ(), dir: "/", timeout: gitTimeout})
		if err != nil {
			return nil, fmt.Errorf("start supervisor: %w", err)
		}
		return nil, nil
	}
	log, err := os.OpenFile(d.path("supervisor.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start supervisor: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(argv[0], argv[1:]...) // no context: it outlives this process
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start supervisor: %w", err)
	}
	return cmd, nil
}

// transient is the command that starts argv in a unit of its own, which belongs to
// no other and needs none: stopping or replacing the agent does not touch it.
// Should the supervisor be killed, systemd starts it again. What it started goes
// on then, for the next supervisor to stop in its own way, and so do daemons of
// the new system.
func (c *Config) transient(d jobDir, argv []string) []string {
	return append(c.tool([]string{
		"systemd-run", "--unit=nixfleet-switch-" + filepath.Base(string(d)), "--collect", "--no-ask-password", "--quiet",
		"--service-type=exec", "--description=NixFleet switch",
		"--property=KillMode=process", "--property=Restart=on-failure", "--property=RestartSec=1",
		"--property=OOMPolicy=continue", "--property=IgnoreOnIsolate=yes", "--",
	}), argv...)
}

// RunsSystemd reports whether systemd is process 1 here, so that a transient
// unit can hold the supervisor.
func RunsSystemd() bool {
	info, err := os.Stat("/run/systemd/system")
	return err == nil && info.IsDir()
}
