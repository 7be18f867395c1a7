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
		unit := "nixfleet-switch-" + filepath.Base(string(d))
		_, err := run(ctx, command{
			argv: append([]string{
				"systemd-run", "--unit=" + unit, "--collect", "--no-ask-password", "--quiet",
				"--service-type=exec", "--description=NixFleet switch", "--",
			}, argv...),
			env: environ(), dir: "/", timeout: gitTimeout,
		})
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

// RunsSystemd reports whether systemd is process 1 here, so that a transient
// unit can hold the supervisor.
func RunsSystemd() bool {
	info, err := os.Stat("/run/systemd/system")
	return err == nil && info.IsDir()
}
