package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// compactAt is the size at which the journal is replaced by a snapshot of what
// it says, in bytes.
const compactAt = 1 << 20

// journal is the append-only file behind a record. An entry is durable before
// it counts. It is not safe for concurrent use; the ledger guards it.
type journal struct {
	path string
	file *os.File
	size int64
	rec  record
}

// openJournal replays the journal at path. A last line that a crash cut short
// was never acted on and is dropped. A line in the middle that makes no sense is
// skipped and reported: half a memory is worth more than an agent that refuses
// to start, and the switch directories still keep any order from switching twice.
func openJournal(path string, report func(string)) (*journal, error) {
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	j := &journal{path: path}
	for n := 1; len(data) > 0; n++ {
		line, rest, whole := bytes.Cut(data, []byte{'\n'})
		if !whole {
			break
		}
		data = rest
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			report(fmt.Sprintf("journal line %d is damaged and skipped: %v", n, err))
			continue
		}
		j.rec.apply(e)
	}
	return j, j.compact()
}

// append writes entries with one write and one sync, then applies them. After a
// crash a prefix of them is there, so callers order them accordingly.
func (j *journal) append(entries ...entry) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf) // ends each entry with a newline
	for _, e := range entries {
		if err := enc.Encode(e); err != nil {
			return fmt.Errorf("append to journal: %w", err)
		}
	}
	if _, err := j.file.Write(buf.Bytes()); err != nil {
		// Whatever part of it reached the file must not be taken for a line.
		return errors.Join(fmt.Errorf("append to journal: %w", err), j.file.Truncate(j.size))
	}
	if err := j.file.Sync(); err != nil {
		return fmt.Errorf("append to journal: %w", err)
	}
	j.size += int64(buf.Len())
	for _, e := range entries {
		j.rec.apply(e)
	}
	if j.size > compactAt {
		return j.compact()
	}
	return nil
}

// compact replaces the file by one line that says the same.
func (j *journal) compact() error {
	line, err := json.Marshal(entry{Snapshot: &j.rec})
	if err != nil {
		return fmt.Errorf("compact journal: %w", err)
	}
	if err := writeFile(j.path, append(line, '\n'), 0o600); err != nil {
		return fmt.Errorf("compact journal: %w", err)
	}
	file, err := os.OpenFile(j.path, os.O_WRONLY|os.O_APPEND, 0o600) // after a failed write, too, the next one goes to the end
	if err != nil {
		return fmt.Errorf("compact journal: %w", err)
	}
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return errors.Join(fmt.Errorf("compact journal: %w", err), file.Close())
	}
	if j.file != nil {
		_ = j.file.Close()
	}
	j.file, j.size = file, size
	return nil
}

func (j *journal) close() error { return j.file.Close() }

// statePath is where the agent keeps a file of its own.
func statePath(dir string, elem ...string) string {
	return filepath.Join(append([]string{dir}, elem...)...)
}
