package db

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// binaries are the programs of one installation of Postgres.
type binaries struct {
	initdb, postgres string
	version          string // e.g. 15.14
}

func (b binaries) major() int {
	major, _, _ := strings.Cut(b.version, ".")
	n, _ := strconv.Atoi(major)
	return n
}

// oldestPostgres is the oldest major version that we are tested with.
const oldestPostgres = 14

// binaryDirs are where distributions put the programs: many keep initdb and
// postgres out of PATH.
func binaryDirs() []string {
	dirs := filepath.SplitList(os.Getenv("PATH"))
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",       // Debian, Ubuntu
		"/usr/pgsql-*/bin",                // Fedora, RHEL
		"/usr/libexec/postgresql*",        // Alpine
		"/opt/homebrew/opt/postgres*/bin", // Homebrew on Apple silicon
		"/usr/local/opt/postgres*/bin",    // Homebrew on Intel
		"/run/current-system/sw/bin",      // NixOS, nix-darwin
		"/nix/var/nix/profiles/default/bin",
		filepath.Join("/etc/profiles/per-user", os.Getenv("USER"), "bin"),
		filepath.Join(os.Getenv("HOME"), ".nix-profile/bin"),
	} {
		found, _ := filepath.Glob(pattern)
		dirs = append(dirs, found...)
	}
	return slices.DeleteFunc(dirs, func(d string) bool { return !filepath.IsAbs(d) })
}

// findBinaries picks the newest installed Postgres, or the one of the given major
// version where there is a data directory already: others can't read it.
func findBinaries(ctx context.Context, major string) (binaries, error) {
	var found []binaries
	dirs := binaryDirs()
	for _, dir := range dirs {
		b := binaries{initdb: filepath.Join(dir, "initdb"), postgres: filepath.Join(dir, "postgres")}
		if !executable(b.initdb) || !executable(b.postgres) {
			continue
		}
		if b.version = version(ctx, b.postgres); b.version != "" {
			found = append(found, b)
		}
	}
	return pickBinaries(found, dirs, major)
}

func pickBinaries(found []binaries, dirs []string, major string) (binaries, error) {
	if len(found) == 0 {
		return binaries{}, fmt.Errorf("no Postgres is installed: looked for initdb and postgres in %s. Install it (Debian: apt install postgresql · Fedora: dnf install postgresql-server · Nix: nix profile install nixpkgs#postgresql · macOS: brew install postgresql), or name a database with NIXFLEET_DATABASE_URL", strings.Join(dirs, ", "))
	}
	if major != "" {
		if i := slices.IndexFunc(found, func(b binaries) bool { return strconv.Itoa(b.major()) == major }); i >= 0 {
			return found[i], nil
		}
		return binaries{}, fmt.Errorf("the data was written by Postgres %s, installed is %s: install Postgres %s, or move the data with pg_upgrade", major, found[0].version, major)
	}
	newest := slices.MaxFunc(found, func(a, b binaries) int { return a.major() - b.major() })
	if newest.major() < oldestPostgres {
		return binaries{}, fmt.Errorf("postgres %s in %s is too old: version %d or newer is needed", newest.version, filepath.Dir(newest.postgres), oldestPostgres)
	}
	return newest, nil
}

func executable(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

var versionText = regexp.MustCompile(`\(PostgreSQL\) (\d+(\.\d+)*)`)

func version(ctx context.Context, postgres string) string {
	out, err := exec.CommandContext(ctx, postgres, "--version").Output()
	if err != nil {
		return ""
	}
	if m := versionText.FindSubmatch(out); m != nil {
		return string(m[1])
	}
	return ""
}

var errNoAccount = errors.New("postgres does not run as root, and there is neither a user postgres nor a user nobody to run it as: create one (useradd --system postgres), or run nixfleet as an ordinary user")
