package agent

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Room that is taken up before a switch begins, so that a disk that is full, or
// that the new system fills, can't keep the supervisor from writing down what it
// does. A spare is written over in place and renamed, which needs no new room.
const (
	spareFiles = 8
	spareBytes = 4 << 10
	sparePat   = "spare-*"
)

// makeSpares takes up the room. Noise, because some file systems keep no room for
// zeros.
func (d jobDir) makeSpares() error {
	noise := make([]byte, spareBytes)
	for i := range spareFiles {
		_, _ = rand.Read(noise)
		if err := writeFile(d.path(fmt.Sprintf("spare-%d", i)), noise, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (d jobDir) dropSpares() {
	names, _ := filepath.Glob(d.path(sparePat))
	for _, name := range names {
		_ = os.Remove(name)
	}
}

// record writes v as one of the directory's files, from a spare where the disk is
// full.
func (d jobDir) record(name string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	err = writeFile(d.path(name), data, 0o600)
	if !isFull(err) {
		return err
	}
	return d.fromSpare(data, err, func(tmp string) error { return os.Rename(tmp, d.path(name)) })
}

// decide records v unless the other side has decided already; what it returns is
// the verdict that counts. The name of the file appears once and for all, with
// all of the verdict in it: two that decide at the same moment agree.
func (d jobDir) decide(v verdict) (verdict, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return v, err
	}
	err = createFile(d.path(verdictFile), data)
	if isFull(err) {
		err = d.fromSpare(data, err, func(tmp string) error {
			defer os.Remove(tmp)
			return os.Link(tmp, d.path(verdictFile))
		})
	}
	if errors.Is(err, fs.ErrExist) {
		v = verdict{}
		_, err = d.read(verdictFile, &v)
	}
	if err != nil {
		return v, fmt.Errorf("decide switch: %w", err)
	}
	return v, nil
}

// fromSpare publishes data in the room of a spare; full is the error where there
// is none.
func (d jobDir) fromSpare(data []byte, full error, publish func(tmp string) error) error {
	if len(data) > spareBytes {
		return full
	}
	names, _ := filepath.Glob(d.path(sparePat))
	for _, name := range names {
		tmp := d.path(fmt.Sprintf(".taken-%d-%s", os.Getpid(), filepath.Base(name)))
		if os.Rename(name, tmp) != nil {
			continue // the other side was faster
		}
		if err := overwrite(tmp, data); err != nil {
			return err
		}
		if err := publish(tmp); err != nil {
			return err
		}
		return syncDir(string(d))
	}
	return full
}

// overwrite makes data all that the file says, without giving its room away: JSON
// may end in blanks.
func overwrite(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	padded := append(bytes.Clone(data), bytes.Repeat([]byte{' '}, spareBytes-len(data))...)
	_, err = f.WriteAt(padded, 0)
	return errors.Join(err, f.Sync(), f.Close())
}

// isFull reports whether err says that there is no room on the disk.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
