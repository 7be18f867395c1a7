package app

import (
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// What may go wrong in a row at the door for hosts, and how soon it may again. A
// token has 192 bits, so this guards the log and the database, not the token.
const (
	failuresAtOnce = 10
	failureEvery   = 6 * time.Second
	manyLimits     = 10_000 // so many are kept at most; an attacker may own many addresses
)

// How often a host may change its key: the bus has to refuse each old one for as long
// as a certificate of it may be valid, and keeps them in one list.
const (
	changesAtOnce = 3
	changeEvery   = 6 * time.Hour
)

// limits slow down whoever does something too often, each by a name: an address or
// a host.
type limits struct {
	every time.Duration
	burst int
	now   func() time.Time

	mu sync.Mutex
	of map[string]*rate.Limiter
}

func newLimits(every time.Duration, burst int, now func() time.Time) *limits {
	return &limits{every: every, burst: burst, now: now, of: map[string]*rate.Limiter{}}
}

// find is the limit of name. Those that are full again are as good as new, and
// make room.
func (l *limits) find(name string) *rate.Limiter {
	if r := l.of[name]; r != nil {
		return r
	}
	if len(l.of) >= manyLimits {
		for name, r := range l.of {
			if r.TokensAt(l.now()) >= float64(l.burst) {
				delete(l.of, name)
			}
		}
		if len(l.of) >= manyLimits {
			clear(l.of)
		}
	}
	r := rate.NewLimiter(rate.Every(l.every), l.burst)
	l.of[name] = r
	return r
}

// wait is how long name has to wait before the next try; zero means not at all. Only
// what counts takes room, for anybody may ask.
func (l *limits) wait(name string) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.of[name]
	if r == nil {
		return 0
	}
	missing := 1 - r.TokensAt(l.now())
	if missing <= 0 {
		return 0
	}
	return time.Duration(missing * float64(l.every))
}

// count notes a try of name.
func (l *limits) count(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.find(name).AllowN(l.now(), 1)
}

// address is where a request comes from. Behind a proxy that is the proxy, so what
// goes well must not count.
func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// slowDown answers a request that came too soon.
func slowDown(w http.ResponseWriter, wait time.Duration, why string) {
	w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
	problem(w, http.StatusTooManyRequests, why)
}
