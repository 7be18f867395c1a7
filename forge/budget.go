package forge

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/go-github/v60/github"
	"github.com/gregjones/httpcache"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// reserve is the part of an installation's hourly calls that only merges may use:
// one in ten. Everything else waits for the next hour then; webhooks go on being
// stored.
const reserve = 10

// limits is what GitHub lets one installation do.
type limits struct {
	mu    sync.Mutex
	until time.Time // GitHub asked us to wait until then
	rate  github.Rate
}

// saw takes the account of the hour that comes with every answer.
func (l *limits) saw(r github.Rate) {
	if r.Limit <= 0 || r.Reset.IsZero() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	// Answers overtake each other: within one hour the lowest account counts.
	if r.Reset.After(l.rate.Reset.Time) || r.Remaining < l.rate.Remaining || r.Limit != l.rate.Limit {
		l.rate = r
	}
}

func (l *limits) quiet(until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = until
}

// closed says until when no call may be made; zero if one may.
func (l *limits) closed(now time.Time, urgent bool) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case now.Before(l.until):
		return l.until
	case !urgent && l.rate.Limit > 0 && l.rate.Remaining < l.rate.Limit/reserve && now.Before(l.rate.Reset.Time):
		return l.rate.Reset.Time
	}
	return time.Time{}
}

var calls = promauto.NewCounterVec(prometheus.CounterOpts{
	Name: "nixfleet_github_calls_total",
	Help: "Calls to GitHub's API by kind, status code, and whether GitHub said that nothing had changed, which costs nothing.",
}, []string{"method", "kind", "code", "unchanged"})

// count notes a call. Its kind is the last part of the path that is a word of the
// API: names, numbers and commits would make a series each.
func count(k call, resp *github.Response) {
	method := k.method
	if method == "" {
		method = http.MethodGet
	}
	unchanged := resp.Header.Get(httpcache.XFromCache) != ""
	calls.WithLabelValues(method, kindOf(k.path), strconv.Itoa(resp.StatusCode), strconv.FormatBool(unchanged)).Inc()
}

// kinds are the words of the API that tell calls apart.
var kinds = map[string]bool{
	"access_tokens": true, "branches": true, "check-runs": true, "check-suites": true, "comments": true, "commits": true, "compare": true,
	"contents": true, "deliveries": true, "deployments": true, "files": true, "installations": true, "merge": true, "permission": true,
	"protection": true, "pulls": true, "reactions": true, "refs": true, "repositories": true, "rules": true, "statuses": true,
	"trees": true, "users": true, "config": true, "blobs": true, "attempts": true,
}

func kindOf(path string) string {
	path, _, _ = strings.Cut(path, "?")
	parts := strings.Split(path, "/")
	if parts[0] == "repos" {
		parts = parts[min(3, len(parts)):]
	}
	kind := "other"
	for _, p := range parts {
		if kinds[p] {
			kind = p
			if p == "contents" || p == "compare" || p == "refs" {
				break // names follow
			}
		}
	}
	return kind
}
