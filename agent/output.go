package agent

import (
	"io"
	"strings"
	"sync"
)

// tail keeps the last bytes written to it, however long the lines are.
type tail struct {
	mu   sync.Mutex
	ring []byte
	next int
	full bool
}

func newTail(n int) *tail { return &tail{ring: make([]byte, n)} }

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(p)
	if n >= len(t.ring) {
		copy(t.ring, p[n-len(t.ring):])
		t.next, t.full = 0, true
		return n, nil
	}
	first := copy(t.ring[t.next:], p)
	if first < n {
		copy(t.ring, p[first:])
	}
	t.full = t.full || t.next+n >= len(t.ring)
	t.next = (t.next + n) % len(t.ring)
	return n, nil
}

func (t *tail) bytes() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.full {
		return append([]byte(nil), t.ring[:t.next]...)
	}
	return append(append([]byte(nil), t.ring[t.next:]...), t.ring[:t.next]...)
}

// capture keeps the first bytes written to it and swallows the rest.
type capture struct {
	keep int
	buf  []byte
}

func (c *capture) Write(p []byte) (int, error) {
	if room := c.keep - len(c.buf); room > 0 {
		c.buf = append(c.buf, p[:min(room, len(p))]...)
	}
	return len(p), nil
}

// fanout writes to each of its writers. None of ours fails.
type fanout [3]io.Writer

func (f fanout) Write(p []byte) (int, error) {
	for _, w := range f {
		if w != nil {
			_, _ = w.Write(p)
		}
	}
	return len(p), nil
}

type streamWriter func([]byte)

func (w streamWriter) Write(p []byte) (int, error) { w(p); return len(p), nil }

func streamer(f func([]byte), on bool) io.Writer {
	if f == nil || !on {
		return nil
	}
	return streamWriter(f)
}

// lastLine is the last line of b that says something, for one-line messages.
func lastLine(b []byte) string {
	lines := strings.Split(strings.ToValidUTF8(string(b), "\uFFFD"), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if line := strings.TrimSpace(lines[i]); line != "" {
			return clip(line, 300)
		}
	}
	return ""
}

// errorLine is the last line of b that begins as Nix begins an error; after it come
// hints, and the lines of a file that it is about.
func errorLine(b []byte) string {
	found := ""
	for line := range strings.Lines(strings.ToValidUTF8(string(b), "\uFFFD")) {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "error: "); ok && rest != "" {
			found = line
		}
	}
	return clip(found, 300)
}

// clip shortens s to at most n bytes without cutting a character in two.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// printable is b without what a terminal would act on, which JSON would also
// blow up to six times its size.
func printable(b []byte) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(string(b), "\uFFFD"))
}
