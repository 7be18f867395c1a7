package broker

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// How long a lock that is held is tried for: a second.
const (
	lockTries = 20
	lockPoll  = 50 * time.Millisecond
)

// lockDir takes dir for this process until the returned file is closed. The
// broker itself would open a directory that another one is writing to.
func lockDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock: %w", err)
	}
	// A program that was being started when the last owner let go may hold the lock for
	// a moment: it shares the file until it runs.
	for range lockTries {
		if err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
			return f, nil
		}
		time.Sleep(lockPoll)
	}
	_ = f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, fmt.Errorf("another process uses %s: stop it, or choose another data directory", dir)
	}
	return nil, fmt.Errorf("lock %s: %w", dir, err)
}
