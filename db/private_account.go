package db

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// account is who Postgres runs as.
type account struct {
	name     string
	uid, gid int
	drop     bool // we are root and it is not
}

func chooseAccount() (account, error) {
	if os.Geteuid() != 0 {
		return account{name: fmt.Sprintf("user %d", os.Geteuid()), uid: os.Geteuid(), gid: os.Getegid()}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.Atoi(u.Uid)
		gid, err2 := strconv.Atoi(u.Gid)
		if err1 == nil && err2 == nil && uid > 0 {
			return account{name: name, uid: uid, gid: gid, drop: true}, nil
		}
	}
	return account{}, errNoAccount
}

// attr makes a process run as the account.
func (a account) attr() *syscall.SysProcAttr {
	if !a.drop {
		return &syscall.SysProcAttr{}
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}}
}

// mkdir makes a directory that only the account may enter, or checks that it is
// one: in a directory that everybody may write to, someone else may have been first.
func (a account) mkdir(name string) error {
	if err := os.Mkdir(name, 0o700); err == nil {
		if a.drop {
			return os.Chown(name, a.uid, a.gid)
		}
		return nil
	} else if !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(name)
	if err != nil {
		return err
	}
	owner, _ := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || owner == nil || int(owner.Uid) != a.uid || info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s is not a directory that only %s may enter: remove it", name, a.name)
	}
	return nil
}

// reach makes sure that the account can get to a directory of ours. Directories
// of root in the temporary directory, which are closed to everybody by default,
// are opened to the account's group for passing through; any other closed
// directory is the operator's to open.
func (a account) reach(dir string, log func(string)) error {
	if !a.drop {
		return nil
	}
	for d := dir; ; d = filepath.Dir(d) {
		info, err := os.Stat(d)
		if err != nil {
			return err
		}
		if !a.passes(info) {
			if err := a.open(d, dir, info); err != nil {
				return err
			}
			log(fmt.Sprintf("group %d may pass through %s now, for Postgres", a.gid, d))
		}
		if d == filepath.Dir(d) {
			return nil
		}
	}
}

// passes reports whether the account may pass through a directory.
func (a account) passes(info fs.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return true
	}
	mode := info.Mode().Perm()
	switch {
	case int(s.Uid) == a.uid:
		return mode&0o100 != 0
	case int(s.Gid) == a.gid:
		return mode&0o010 != 0
	default:
		return mode&0o001 != 0
	}
}

func (a account) open(d, own string, info fs.FileInfo) error {
	s, ok := info.Sys().(*syscall.Stat_t)
	temporary := strings.HasPrefix(d, filepath.Clean(os.TempDir())+string(filepath.Separator))
	if !ok || s.Uid != 0 || info.Mode().Perm()&0o077 != 0 || (d != own && !temporary) {
		return fmt.Errorf("postgres runs as user %s here, who may not pass through %s (mode %#o): choose a data directory elsewhere, e.g. /var/lib/nixfleet (NIXFLEET_DATA_DIR), or run chmod o+x %s", a.name, d, info.Mode().Perm(), d)
	}
	if err := os.Chown(d, -1, a.gid); err != nil {
		return err
	}
	return os.Chmod(d, 0o710)
}

// maxSocketPath is what the smallest of the platforms' sun_path holds (macOS: 104
// bytes with the final NUL; Linux: 108).
const maxSocketPath = 103

// socketDir is where the socket goes: beside the data, or in a short directory of
// its own where that would make too long a path. It depends on nothing but the
// data's directory, so that every process finds the same.
func socketDir(dir string, a account) (string, error) {
	const socket = ".s.PGSQL.5432"
	if near := filepath.Join(dir, "run"); len(filepath.Join(near, socket)) <= maxSocketPath {
		return near, nil
	}
	base := "/tmp"
	if a.drop && isDir("/run") {
		base = "/run"
	}
	sum := sha256.Sum256([]byte(dir))
	short := filepath.Join(base, fmt.Sprintf("nixfleet-%d-%s", a.uid, hex.EncodeToString(sum[:8])))
	return short, a.mkdir(short)
}

func isDir(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// How a file is locked.
const (
	shared    = unix.LOCK_SH
	exclusive = unix.LOCK_EX
)

// lockFile opens and locks a file, waiting for others until ctx ends. The lock
// ends with the file, and so also with our process.
func lockFile(ctx context.Context, name string, how int) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", name, err), f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("lock %s: %w", name, context.Cause(ctx)), f.Close())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// tryLock makes a shared lock exclusive if nobody shares it.
func tryLock(f *os.File) bool { return unix.Flock(int(f.Fd()), exclusive|unix.LOCK_NB) == nil }
