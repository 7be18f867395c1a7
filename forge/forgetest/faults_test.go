package forgetest_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/nixfleet/nixfleet/forge/forgetest"
)

const mergePath = "/repos/*/pulls/*/merge"

func (s *site) merge(n int) (*github.PullRequestMergeResult, error) {
	s.t.Helper()
	res, _, err := s.client.PullRequests.Merge(deadline(s.t), "octo", "fleet", n, "", &github.PullRequestOptions{MergeMethod: "squash"})
	return res, err
}

// An answer may be lost before or after the merge; only reading tells.
func TestAmbiguousMerges(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault  forgetest.Fault
		merged bool
	}{
		"cut before": {forgetest.Fault{Drop: true}, false},
		"cut after":  {forgetest.Fault{Drop: true, AfterEffect: true}, true},
		"502 before": {forgetest.Fault{Status: 502}, false},
		"502 after":  {forgetest.Fault{Status: 502, AfterEffect: true}, true},
		"not JSON":   {forgetest.Fault{Body: []byte(`{"merged":`), AfterEffect: true}, true},
		"base moved": {forgetest.Fault{Status: 405, Message: "Base branch was modified. Review and try the merge again."}, false},
		"rate limit": {forgetest.TooManyRequests(time.Minute), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, forgetest.Options{})
			n, _ := s.openUpdate("two\n")
			tc.fault.Method, tc.fault.Path = "PUT", mergePath
			s.Inject(tc.fault)
			if res, err := s.merge(n); err == nil {
				t.Errorf("the client saw nothing wrong: %v", res)
			}
			pull, _, err := s.client.PullRequests.Get(deadline(t), "octo", "fleet", n)
			check(t, err)
			if pull.GetMerged() != tc.merged {
				t.Errorf("merged is %v, want %v", pull.GetMerged(), tc.merged)
			}
			if _, err := s.merge(n); (err == nil) == tc.merged {
				t.Errorf("second attempt: %v", err)
			}
		})
	}
}

func TestLimitsAreRecognized(t *testing.T) {
	t.Parallel()
	s, ctx := newSite(t, forgetest.Options{}), deadline(t)
	s.Inject(forgetest.Fault{Path: "/repos/*", Status: 403, Message: "only once", Skip: 1})
	_, _, err := s.client.Repositories.Get(ctx, "octo", "fleet") // skipped, and brings the token
	check(t, err)
	if _, _, err = s.client.Repositories.Get(ctx, "octo", "fleet"); message(err) != "only once" {
		t.Errorf("403: %v", err)
	}
	s.Inject(forgetest.TooManyRequests(42 * time.Second))
	_, _, err = s.client.Repositories.Get(ctx, "octo", "fleet")
	var plain *github.ErrorResponse
	if !errors.As(err, &plain) || plain.Response.StatusCode != 429 || plain.Response.Header.Get("Retry-After") != "42" {
		t.Errorf("rate limit: %v, want 429 with Retry-After", err)
	}
	limits, _, err := s.client.RateLimit.Get(ctx)
	check(t, err)
	if limits.GetCore().Limit != 5000 {
		t.Errorf("limits: %v", limits)
	}
	s.Inject(forgetest.SecondaryLimit(time.Minute)) // last: the client then keeps quiet for a minute
	_, _, err = s.client.Repositories.Get(ctx, "octo", "fleet")
	var abuse *github.AbuseRateLimitError
	if !errors.As(err, &abuse) || abuse.GetRetryAfter() != time.Minute {
		t.Errorf("secondary limit: %v, want it recognized with its Retry-After", err)
	}
}

func TestFaultsAreCountedAndRemoved(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	get := func() int { return ask(t, "GET", s.APIURL()+"repos/octo/fleet", "").StatusCode }
	s.Inject(forgetest.Fault{Path: "/repos/octo/fleet", Status: 503, Skip: 1, Times: 2})
	for i, want := range []int{200, 503, 503, 200} {
		if got := get(); got != want {
			t.Errorf("request %d: %d, want %d", i, got, want)
		}
	}
	remove := s.Inject(forgetest.Fault{Path: "/repos/*", Status: 500, Times: -1})
	if get() != 500 || get() != 500 {
		t.Error("an endless fault ended")
	}
	remove()
	if get() != 200 {
		t.Error("a removed fault stayed")
	}
}

func TestASlowAnswerWaitsForItsRelease(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	release := make(chan struct{})
	s.Inject(forgetest.Fault{Path: "/repos/octo/fleet", Until: release})
	answered := make(chan int)
	reached := make(chan struct{})
	s.OnRequest(func(_ *http.Request, phase forgetest.Phase) {
		if phase == forgetest.BeforeEffect {
			close(reached)
		}
	})
	go func() { answered <- ask(t, "GET", s.APIURL()+"repos/octo/fleet", "").StatusCode }()
	<-reached
	s.OnRequest(nil)
	select {
	case got := <-answered:
		t.Errorf("answered %d before the release", got)
	default:
	}
	close(release)
	if got := <-answered; got != http.StatusOK {
		t.Errorf("after the release: %d", got)
	}
	s.Inject(forgetest.Fault{Path: "/repos/octo/fleet", Until: make(chan struct{})})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := s.client.Repositories.Get(ctx, "octo", "fleet"); err == nil {
		t.Error("an answer that never comes did come")
	}
}

// The moment between a merge and its answer is where a server dies worst.
func TestCodeMayRunBetweenEffectAndAnswer(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	n, _ := s.openUpdate("two\n")
	before := s.Head(repoName, "main")
	var mu sync.Mutex
	seen := map[forgetest.Phase]string{}
	s.OnRequest(func(r *http.Request, phase forgetest.Phase) {
		mu.Lock()
		defer mu.Unlock()
		if r.Method == http.MethodPut && r.URL.Path == "/repos/octo/fleet/pulls/1/merge" {
			seen[phase] = s.Head(repoName, "main")
			if phase == forgetest.AfterEffect {
				panic(http.ErrAbortHandler)
			}
		}
	})
	if _, err := s.merge(n); err == nil {
		t.Error("the connection was not cut")
	}
	after := s.Head(repoName, "main")
	mu.Lock()
	defer mu.Unlock()
	if seen[forgetest.BeforeEffect] != before || seen[forgetest.AfterEffect] != after || before == after {
		t.Errorf("main: %s, then %v, then %s", before, seen, after)
	}
}
