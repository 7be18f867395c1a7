package agent

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// nixEnv is the environment of a private Nix store for all tests; nil where Nix
// is not installed.
var nixEnv []string

// TestMain is also the supervisor: agents under test start this binary again.
func TestMain(m *testing.M) {
	if atGate() {
		fmt.Fprintln(os.Stderr, passGate())
		os.Exit(1)
	}
	if len(os.Args) == 3 && os.Args[1] == "supervise" {
		if err := Supervise(context.Background(), os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if len(os.Args) == 3 && os.Args[1] == "resume" {
		if err := Resume(context.Background(), os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if len(os.Args) == 3 && os.Args[1] == "agent" {
		if err := serveForTest(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	dir, err := os.MkdirTemp("", "nixfleet-agent-")
	if err == nil && !missing("nix", "nix-env", "git") {
		nixEnv, err = privateStore(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	removeStore(dir)
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// serveForTest is an agent in a process of its own, to be killed.
func serveForTest(dir string) error {
	id, err := LoadIdentity(filepath.Join(dir, "state"))
	if err != nil {
		return err
	}
	return Serve(context.Background(), id, hostConfig(dir))
}

func missing(programs ...string) bool {
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			fmt.Fprintf(os.Stderr, "*** %s is not on PATH: the tests that deploy are SKIPPED\n", p)
			return true
		}
	}
	return false
}

// privateStore makes a Nix store of its own below dir, as a user or as root.
func privateStore(dir string) ([]string, error) {
	conf := filepath.Join(dir, "conf")
	for _, d := range []string{conf, filepath.Join(dir, "home")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, err
		}
	}
	const settings = "experimental-features = nix-command flakes\nsandbox = false\nbuild-users-group =\nsubstitute = false\n"
	env := []string{
		"NIX_STORE_DIR=" + filepath.Join(dir, "store"), "NIX_STATE_DIR=" + filepath.Join(dir, "var"),
		"NIX_LOG_DIR=" + filepath.Join(dir, "log"), "NIX_CONF_DIR=" + conf,
		"XDG_CACHE_HOME=" + filepath.Join(dir, "cache"), "HOME=" + filepath.Join(dir, "home"),
		"NIX_REMOTE=local",
	}
	if err := os.WriteFile(filepath.Join(conf, "nix.conf"), []byte(settings), 0o644); err != nil {
		return nil, err
	}
	// Before the tests do, all at once: they would get in each other's way.
	begin := exec.Command("nix-store", "--init")
	begin.Env = environ(env...)
	return env, begin.Run()
}

// removeStore removes a store, whose directories are read-only.
func removeStore(dir string) {
	_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			return os.Chmod(path, 0o755)
		}
		return nil
	})
	_ = os.RemoveAll(dir)
}
