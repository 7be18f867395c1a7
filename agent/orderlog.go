package agent

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nixfleet/nixfleet/agentbus"
)

// Bounds of the logs that are kept.
const (
	logLimit = 8 << 20   // of what the programs of one order print
	ownRoom  = 64 << 10  // beyond that, for what the agent has to say in the end
	keptLogs = 2 * 50    // files: the output, and what is known of it
	saveEach = 256 << 10 // a crash sends at most this much again
)

// logState is what is known of an order's output beside the output itself.
type logState struct {
	Sent  int64     `json:"sent"`            // bytes that the bus took
	Whole bool      `json:"whole,omitempty"` // the server has all of it
	Steps []logStep `json:"steps,omitempty"`
}

// logStep says from which byte on the output belongs to a step.
type logStep struct {
	At   int64         `json:"at"`
	Step agentbus.Step `json:"step"`
}

// orderLog is an order's output. Its file is also the queue of what is still to
// be sent: nothing is held in memory, and a new process goes on where the last
// one stopped.
type orderLog struct {
	order, path string
	wake        func()

	mu    sync.Mutex
	file  *os.File // nil while nobody writes
	size  int64
	state logState
	saved int64 // state.Sent as it was last written down

	lastDue   time.Time // when the last chunk is sent again if it is not confirmed
	lastPause time.Duration
}

// logbook is the output of all orders of which there is something to write or
// to send.
type logbook struct {
	dir  string
	wake chan struct{} // told when there may be output to send

	mu   sync.Mutex
	logs map[string]*orderLog
}

const logSuffix = ".log"

// openLogbook finds what an earlier process left to be sent.
func openLogbook(dir string) (*logbook, error) {
	b := &logbook{dir: dir, wake: make(chan struct{}, 1), logs: map[string]*orderLog{}}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open logs: %w", err)
	}
	for _, e := range entries {
		order, isLog := strings.CutSuffix(e.Name(), logSuffix)
		info, err := e.Info()
		if !isLog || err != nil || !validID(order) {
			continue
		}
		if l := b.find(order, info.Size()); !l.state.Whole {
			b.logs[order] = l
		}
	}
	return b, nil
}

// find is the log of an order as it stands on the disk. A state that cannot be
// read means that everything is sent again, which changes nothing.
func (b *logbook) find(order string, size int64) *orderLog {
	l := &orderLog{
		order: order, path: filepath.Join(b.dir, order+logSuffix), size: size, wake: func() { wake(b.wake) },
	}
	if readJSON(l.statePath(), &l.state) != nil || l.state.Sent < 0 || l.state.Sent > size {
		l.state = logState{Steps: l.state.Steps}
	}
	l.saved = l.state.Sent
	return l
}

// open begins or continues the log of an order.
func (b *logbook) open(order string) (*orderLog, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	file, err := os.OpenFile(filepath.Join(b.dir, order+logSuffix), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	info, err := file.Stat()
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("open log: %w", err)
	}
	l := b.logs[order]
	if l == nil {
		l = b.find(order, info.Size())
		b.logs[order] = l
	}
	l.mu.Lock()
	l.file, l.size, l.state.Whole = file, info.Size(), false
	l.mu.Unlock()
	prune(b.dir, keptLogs, order)
	return l, nil
}

// pending are the logs in the order of their orders' ids.
func (b *logbook) pending() []*orderLog {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]*orderLog, 0, len(b.logs))
	for _, l := range b.logs {
		list = append(list, l)
	}
	slices.SortFunc(list, func(x, y *orderLog) int { return cmp.Compare(x.order, y.order) })
	return list
}

// drop forgets a log of which nothing more is to be sent.
func (b *logbook) drop(l *orderLog) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.logs, l.order)
}

// confirm takes note of how far the server has recorded an output.
func (b *logbook) confirm(order string, c agentbus.LogConfirm) {
	b.mu.Lock()
	l := b.logs[order]
	b.mu.Unlock()
	if l != nil && l.confirm(c) {
		b.drop(l)
	}
}

func (l *orderLog) statePath() string { return strings.TrimSuffix(l.path, logSuffix) + ".json" }

// save writes down what is known of the output; l.mu is held. Where that fails,
// the next process sends more again than it had to, which changes nothing.
func (l *orderLog) save() {
	if writeJSON(l.statePath(), l.state) == nil {
		l.saved = l.state.Sent
	}
}

// printf writes a line of the agent's own.
func (l *orderLog) printf(format string, args ...any) {
	l.put(fmt.Appendf(nil, "[nixfleet] "+format+"\n", args...), logLimit+ownRoom)
}

// at says which step the output belongs to from now on.
func (l *orderLog) at(step agentbus.Step) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.state.Steps); n > 0 && l.state.Steps[n-1].Step == step {
		return
	}
	l.state.Steps = append(l.state.Steps, logStep{At: l.size, Step: step})
	l.save()
}

// write takes what a program prints.
func (l *orderLog) write(p []byte) { l.put(p, logLimit) }

// put writes p as far as there is room, and says once where there is not.
func (l *orderLog) put(p []byte, limit int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	room := limit - l.size
	if room <= 0 || l.file == nil {
		return
	}
	if int64(len(p)) >= room {
		p = append(p[:room:room], "\n[nixfleet] the log is full; what follows is not kept\n"...)
	}
	n, _ := l.file.Write(p)
	l.size += int64(n)
	l.wake()
}

// close ends the writing. The sending goes on.
func (l *orderLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.file.Close()
	l.file = nil
	l.wake()
}

// confirm reports whether nothing more is to be sent.
func (l *orderLog) confirm(c agentbus.LogConfirm) (done bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.Whole {
		if l.file != nil {
			return false // what is being written goes on
		}
		l.state.Sent, l.state.Whole = l.size, true
		l.save()
		return true
	}
	l.state.Sent, l.lastDue = min(max(c.Bytes, 0), l.size), time.Time{}
	l.wake()
	return false
}

// prune removes all but the newest entries of a directory. Those that belong to
// order stay, whatever the clock said when the others were made.
func prune(dir string, keep int, order string) {
	entries, err := os.ReadDir(dir)
	entries = slices.DeleteFunc(entries, func(e os.DirEntry) bool {
		return strings.TrimSuffix(e.Name(), filepath.Ext(e.Name())) == order
	})
	if err != nil || len(entries) <= keep {
		return
	}
	age := func(e os.DirEntry) int64 {
		info, err := e.Info()
		if err != nil {
			return 0
		}
		return info.ModTime().UnixNano()
	}
	slices.SortStableFunc(entries, func(a, b os.DirEntry) int { return cmp.Compare(age(a), age(b)) })
	for _, e := range entries[:len(entries)-keep] {
		_ = os.RemoveAll(filepath.Join(dir, e.Name()))
	}
}
