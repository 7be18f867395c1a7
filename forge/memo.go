package forge

import (
	"sync"
	"time"
)

// memoSize bounds a memo. It holds small things; one that is full begins anew.
const memoSize = 4096

// memo remembers answers that GitHub has no ETag for, or that rarely change though
// the commits around them do, so that a steady pull request stays free.
type memo[V any] struct {
	mu   sync.Mutex
	held map[string]remembered[V]
}

type remembered[V any] struct {
	value V
	until time.Time // zero: it can't change
}

func (m *memo[V]) get(key string, now time.Time) (v V, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.held[key]
	if !ok || (!r.until.IsZero() && !now.Before(r.until)) {
		return v, false
	}
	return r.value, true
}

func (m *memo[V]) put(key string, v V, until time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held == nil || len(m.held) >= memoSize {
		m.held = map[string]remembered[V]{}
	}
	m.held[key] = remembered[V]{v, until}
}
