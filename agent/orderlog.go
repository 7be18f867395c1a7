package agent

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/nixfleet/nixfleet/agentbus"
)

// Bounds of the logs that are kept, and of a chunk on the wire.
const (
	logLimit   = 8 << 20 // of one order
	keptLogs   = 50
	chunkBytes = 32 << 10
	chunkDelay = 250 * time.Millisecond // so that a chatty build does not send every line alone
)

// orderLog keeps an order's output in a file and streams it in chunks. Streaming
// is best effort; the file is what a person finds later.
type orderLog struct {
	mu      sync.Mutex
	order   string
	file    *os.File
	size    int64
	sent    int64
	pending []byte
	step    agentbus.Step
	send    func(agentbus.LogChunk) error
	now     func() time.Time
	stopped chan struct{}
	done    chan struct{}
}

// openLog begins or continues the log of an order.
func (a *Agent) openLog(order string) (*orderLog, error) {
	dir := statePath(a.cfg.StateDir, "logs")
	file, err := os.OpenFile(filepath.Join(dir, order+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	info, err := file.Stat()
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("open log: %w", err)
	}
	l := &orderLog{
		order: order, file: file, size: info.Size(), send: a.cfg.Link.Log, now: a.cfg.Now,
		sent:    info.Size(),
		step:    agentbus.StepReceived,
		stopped: make(chan struct{}), done: make(chan struct{}),
	}
	go l.flushRegularly()
	prune(dir, keptLogs)
	return l, nil
}

func (l *orderLog) flushRegularly() {
	defer close(l.done)
	tick := time.NewTicker(chunkDelay)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l.mu.Lock()
			l.flush()
			l.mu.Unlock()
		case <-l.stopped:
			return
		}
	}
}

// printf writes a line of the agent's own.
func (l *orderLog) printf(format string, args ...any) {
	l.write(fmt.Appendf(nil, "[nixfleet] "+format+"\n", args...))
}

// at says which step the output belongs to from now on.
func (l *orderLog) at(step agentbus.Step) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flush()
	l.step = step
}

func (l *orderLog) write(p []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	room := logLimit - l.size
	if room <= 0 {
		return
	}
	if int64(len(p)) >= room {
		p = append(p[:room:room], "\n[nixfleet] the log is full; what follows is not kept\n"...)
	}
	n, _ := l.file.Write(p)
	l.size += int64(n)
	l.pending = append(l.pending, p...)
	for len(l.pending) >= chunkBytes {
		l.flush()
	}
}

func (l *orderLog) flush() {
	if len(l.pending) == 0 {
		return
	}
	n := min(len(l.pending), chunkBytes)
	_ = l.send(agentbus.LogChunk{
		V: agentbus.ProtocolVersion, Order: l.order, Offset: l.sent, Step: l.step,
		At: l.now().UnixMilli(), Text: slices.Clone(l.pending[:n]),
	})
	l.sent += int64(n)
	l.pending = l.pending[:copy(l.pending, l.pending[n:])]
}

func (l *orderLog) close() {
	close(l.stopped)
	<-l.done
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flush()
	_ = l.file.Close()
}

// prune removes all but the newest entries of a directory.
func prune(dir string, keep int) {
	entries, err := os.ReadDir(dir)
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
