package demo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// nixWorld is a Nix store of the demo's own: nothing is written outside its
// directory, no daemon is asked, and no privilege is needed.
type nixWorld struct{ dir string }

// nixConf lets Nix build without a sandbox and without build users, since both
// need privileges, and keeps it off the network.
const nixConf = `experimental-features = nix-command flakes
sandbox = false
build-users-group =
substitute = false
connect-timeout = 5
`

func newNixWorld(dir string) (nixWorld, error) {
	w := nixWorld{dir: dir}
	if _, err := exec.LookPath("nix"); err != nil {
		return w, errors.New("the demo builds with Nix, and the program nix is not on the PATH: install it (Debian: apt-get install nix-bin) and start again")
	}
	for _, d := range []string{"conf", "home"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return w, err
		}
	}
	return w, os.WriteFile(filepath.Join(dir, "conf", "nix.conf"), []byte(nixConf), 0o644)
}

// env is what a program needs to use this store instead of the machine's.
func (w nixWorld) env() []string {
	return []string{
		"NIX_REMOTE=local",
		"NIX_STORE_DIR=" + filepath.Join(w.dir, "store"),
		"NIX_STATE_DIR=" + filepath.Join(w.dir, "var"),
		"NIX_LOG_DIR=" + filepath.Join(w.dir, "log"),
		"NIX_CONF_DIR=" + filepath.Join(w.dir, "conf"),
		"NIX_USER_CONF_FILES=",
		"XDG_CACHE_HOME=" + filepath.Join(w.dir, "cache"),
		"HOME=" + filepath.Join(w.dir, "home"),
	}
}

// flake runs `nix flake COMMAND` in dir, as the update workflow does.
func (w nixWorld) flake(ctx context.Context, dir string, command ...string) error {
	cmd := exec.CommandContext(ctx, "nix", append([]string{"flake"}, command...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), w.env()...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nix flake %s: %w\n%s", strings.Join(command, " "), err, out)
	}
	return nil
}

// remove deletes a directory that may hold store paths, which Nix makes
// read-only.
func remove(dir string) error {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = os.Chmod(path, 0o755)
		}
		return nil
	})
	return os.RemoveAll(dir)
}

// system is Nix's name for the machine that this program runs on.
func system() string {
	arch := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
	if arch == "" {
		arch = runtime.GOARCH
	}
	return arch + "-" + runtime.GOOS
}
