package agent

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

const insideEnv = "NIXFLEET_TEST_INSIDE"

// inside runs the test once more, as a process with its own mounts and its own
// network, which end with it. It returns true in there, where the test is to go
// on. Where that is not permitted the test is skipped.
func inside(t *testing.T) bool {
	t.Helper()
	if os.Getenv(insideEnv) == t.Name() {
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v", "-test.parallel", "8")
	cmd.Env = append(os.Environ(), insideEnv+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	switch {
	case errors.Is(err, syscall.EPERM):
		t.Skip("*** namespaces of one's own are not permitted here: SKIPPED; run the tests as root")
	case err != nil:
		t.Fatalf("inside of its namespaces: %v\n%s", err, out)
	}
	t.Logf("%s", out)
	return false
}
