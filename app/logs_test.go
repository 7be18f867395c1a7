package app

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nixfleet/nixfleet/agent"
	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/agentbus/bustest"
	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

// printingFleet is a fleet that records output, with one host and an order for it.
func printingFleet(t *testing.T) (*replica, *agentbus.HostLink) {
	t.Helper()
	r := newFleet(t)
	id, err := agent.Enroll(t.Context(), r.agentOf(t, "web1", r.token(t, "web1")))
	must(t, err)
	link := bustest.Link(t, id.Bus())
	bustest.Eventually(t, "a connection", link.Connected)
	_, err = r.db.IssueOrders(t.Context(), []fleet.Order{{
		ID: "O1", Host: "web1", Kind: "pull", RepoID: 7, Actor: "ada", IssuedAt: r.clock.now(), ExpiresAt: r.clock.now().Add(time.Hour),
	}}, r.clock.now())
	must(t, err)

	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	listening := make(chan struct{}, 1)
	wg.Go(func() { _ = r.readLogs(ctx) })
	wg.Go(func() { _ = r.readAnswers(ctx) })
	wg.Go(func() {
		_ = r.db.ListenOutput(ctx, func() {
			r.printed.ring()
			select {
			case listening <- struct{}{}:
			default:
			}
		})
	})
	<-listening
	t.Cleanup(func() { cancel(); wg.Wait() })
	return r, link
}

// follow shows what O1 prints until no more comes.
func (r *replica) follow(t *testing.T, from int64) (shown <-chan string, whole <-chan bool) {
	t.Helper()
	pieces, end := make(chan string, 100), make(chan bool, 1)
	go func() {
		client := &api.Client{Server: r.url, Token: adminSecret}
		whole, err := client.FollowLog(t.Context(), "O1", from, func(c fleet.OutputChunk) error {
			pieces <- c.Text
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		end <- whole
	}()
	return pieces, end
}

func prints(t *testing.T, link *agentbus.HostLink, chunks ...agentbus.LogChunk) {
	t.Helper()
	for i := range chunks {
		chunks[i].Order, chunks[i].Step = "O1", agentbus.StepFetching
	}
	taken, err := link.Log(t.Context(), chunks)
	must(t, err)
	if taken != len(chunks) {
		t.Fatalf("the bus took %d of %d", taken, len(chunks))
	}
}

func TestOutputIsSeenWhileItIsPrinted(t *testing.T) {
	t.Parallel()
	r, link := printingFleet(t)
	shown, whole := r.follow(t, 0)
	prints(t, link, agentbus.LogChunk{Text: []byte("fetching\x1b[1m…\n")})
	if got := <-shown; got != "fetching…\n" {
		t.Errorf("shown %q", got)
	}
	// A piece is lost: the host is asked for it, and goes on from there.
	prints(t, link, agentbus.LogChunk{Offset: 99, Text: []byte("late\n")})
	c := <-link.Confirms()
	if c.Order != "O1" || c.Log == nil || *c.Log != (agentbus.LogConfirm{Bytes: 16}) {
		t.Fatalf("told %+v", c)
	}
	prints(t, link, agentbus.LogChunk{Offset: 16, Text: []byte("done\n"), Last: true})
	if c := <-link.Confirms(); c.Log == nil || *c.Log != (agentbus.LogConfirm{Bytes: 21, Whole: true}) {
		t.Fatalf("told %+v", c)
	}
	if got := <-shown; got != "done\n" || !<-whole {
		t.Errorf("shown %q", got)
	}
	again, whole := r.follow(t, 16) // by who saw the first part
	if got := <-again; got != "done\n" || !<-whole {
		t.Errorf("shown again %q", got)
	}
	got, err := (&api.Client{Server: r.url, Token: adminSecret}).HostLog(t.Context(), "web1")
	if err != nil || got.Order != "O1" || !got.Whole || len(got.Chunks) != 2 {
		t.Errorf("of the host: %+v, %v", got, err)
	}
	_, err = (&api.Client{Server: r.url, Token: adminSecret}).HostLog(t.Context(), "web2")
	if err == nil || !strings.Contains(err.Error(), "web2") {
		t.Errorf("of no host: %v", err)
	}
}

// Who follows the output of an order that ended does not wait for ever for a host
// that never sends the rest.
func TestFollowingEndsWhenTheHostDoesNotSendTheRest(t *testing.T) {
	t.Parallel()
	r, link := printingFleet(t)
	prints(t, link, agentbus.LogChunk{Text: []byte("fetching\n")})
	shown, whole := r.follow(t, 0)
	<-shown
	must(t, link.Answer(t.Context(), agentbus.Answer{Order: "O1", Gen: 1, Seq: 1, Step: agentbus.StepFailed, At: 1}))
	bustest.Eventually(t, "the end of the order", func() bool {
		o, err := r.db.Order(t.Context(), "O1")
		return err == nil && !o.EndedAt.IsZero()
	})
	select {
	case <-whole:
		t.Error("it ended although the rest may still come")
	default:
	}
	r.clock.forward(time.Hour)
	r.printed.ring()
	if <-whole {
		t.Error("it is said to be whole")
	}
}

func TestOutputIsKeptAsLongAsThePolicySays(t *testing.T) {
	t.Parallel()
	r, link := printingFleet(t)
	prints(t, link, agentbus.LogChunk{Text: []byte("fetching\n"), Last: true})
	<-link.Confirms()
	left := func(after time.Duration) int {
		t.Helper()
		must(t, r.pruneLogs(t.Context(), r.clock.now().Add(after)))
		out, err := r.db.OrderLog(t.Context(), "O1", 0)
		must(t, err)
		return len(out.Chunks)
	}
	if n := left(29 * 24 * time.Hour); n != 1 {
		t.Errorf("after 29 days %d pieces, want 1", n)
	}
	policy := fleet.DefaultPolicy()
	policy.Deploy.KeepLogs = 24 * time.Hour
	claims, err := r.db.ClaimRepos(t.Context(), r.clock.now(), time.Minute, 1)
	must(t, err)
	must(t, r.db.SaveRepo(t.Context(), claims[0], db.RepoChange{HeadSHA: "aaa", Policy: &policy}, r.clock.now()))
	if n := left(23 * time.Hour); n != 1 {
		t.Errorf("after 23 hours %d pieces, want 1", n)
	}
	if n := left(25 * time.Hour); n != 0 {
		t.Errorf("after 25 hours %d pieces, want none", n)
	}
}

func TestWhoFollowsIsWokenAndNotTooOften(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var b bell
		began := time.Now()
		time.AfterFunc(time.Second, b.ring) // of the bubble
		quiet, err := silence(t.Context(), b.next(), followSign)
		if took := time.Since(began); quiet || err != nil || took != time.Second+followEvery {
			t.Errorf("woken: quiet %v, %v, after %s", quiet, err, took)
		}
		b.ring() // nobody waits
		began = time.Now()
		quiet, err = silence(t.Context(), b.next(), followSign)
		if took := time.Since(began); !quiet || err != nil || took != followSign {
			t.Errorf("not woken: quiet %v, %v, after %s", quiet, err, took)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := silence(ctx, b.next(), followSign); !errors.Is(err, context.Canceled) {
			t.Errorf("gone: %v", err)
		}
	})
}
