package bench

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/nixfleet/nixfleet/agentbus/crowd"
	"github.com/nixfleet/nixfleet/app"
	"github.com/nixfleet/nixfleet/fleet"
)

// Sizes of the messages that the limits are measured with: those of an order with its
// signature, an answer, and a heartbeat.
const (
	orderBytes  = 1100
	answerBytes = 170
	beatBytes   = 800
)

const (
	oneHostTries = 50
	beatRounds   = 10 // heartbeats of each host, at full speed
)

func (s *stand) measure(ctx context.Context, r *Report) error {
	l, err := startLimits(ctx, s.o.Dir)
	if err != nil {
		return err
	}
	defer l.close()
	agents, err := s.join()
	if err != nil {
		return err
	}
	defer agents.Close()
	for _, step := range []func(context.Context, *limits, *crowd.Crowd, *Report) error{s.fanOut, s.heartbeats, s.oneHost} {
		if err := step(ctx, l, agents, r); err != nil {
			return err
		}
	}
	agents.Close()
	if err := s.memory(ctx, r); err != nil {
		return err
	}
	return s.restart(ctx, r)
}

// fanOut deploys to every host, from the call to the last answer in Postgres.
func (s *stand) fanOut(ctx context.Context, l *limits, agents *crowd.Crowd, r *Report) error {
	s.o.Say(fmt.Sprintf("deploying to %d hosts, %d times", s.o.Hosts, rounds))
	var received, recorded []Ratio
	n := int64(s.o.Hosts)
	for range rounds + 1 { // the first learns what the bucket holds and does not count
		before := agents.Received()
		began := time.Now()
		if err := s.deploy(ctx, s.names); err != nil {
			return err
		}
		if err := agents.Await(ctx, agents.Received, before+n); err != nil {
			return fmt.Errorf("orders: %w", err)
		}
		got := time.Since(began)
		if err := agents.Await(ctx, agents.Recorded, before+n); err != nil {
			return fmt.Errorf("answers: %w", err)
		}
		all := time.Since(began)
		puts, err := l.async("$KV.plain.%d", s.o.Hosts, s.o.Hosts, make([]byte, orderBytes))
		if err != nil {
			return err
		}
		acks, err := l.async("ack.%d", crowd.Answers*s.o.Hosts, s.o.Hosts, make([]byte, answerBytes))
		if err != nil {
			return err
		}
		received = append(received, Ratio{Got: float64(n) / got.Seconds(), Limit: puts})
		recorded = append(recorded, Ratio{Got: float64(crowd.Answers*n) / all.Seconds(), Limit: acks})
	}
	r.Orders, r.Answers = middle(received[1:]), middle(recorded[1:])
	return nil
}

func (s *stand) deploy(ctx context.Context, hosts []string) error {
	return s.app.Deploy(ctx, fleet.Actor{Login: "bench", Type: "local"}, app.DeployRequest{Hosts: hosts, Commit: s.commit, Reason: "measurement"})
}

// heartbeats sends several of each host and waits until the newest are in Postgres.
func (s *stand) heartbeats(ctx context.Context, l *limits, agents *crowd.Crowd, r *Report) error {
	s.o.Say(fmt.Sprintf("%d heartbeats of each host", beatRounds))
	var ratios []Ratio
	for round := range rounds {
		began := time.Now()
		newest := int64(0)
		for i := range beatRounds {
			newest = int64(round*beatRounds + i + 1)
			if err := agents.Beat(newest); err != nil {
				return err
			}
		}
		if err := s.kept(ctx, time.Duration(newest)*time.Second); err != nil {
			return err
		}
		took := time.Since(began)
		n := beatRounds * s.o.Hosts
		limit, err := l.core(n, make([]byte, beatBytes))
		if err != nil {
			return err
		}
		ratios = append(ratios, Ratio{Got: float64(n) / took.Seconds(), Limit: limit})
	}
	r.Heartbeats = middle(ratios)
	return nil
}

// kept waits until the facts of every host are at least of the given uptime.
func (s *stand) kept(ctx context.Context, uptime time.Duration) error {
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		n, err := s.db.HostsUpFor(ctx, uptime)
		if err != nil {
			return err
		}
		if n == s.o.Hosts {
			return nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return fmt.Errorf("heartbeats of %d of %d hosts are kept: %w", n, s.o.Hosts, context.Cause(ctx))
		}
	}
}

// oneHost is the whole way of one order on an idle fleet.
func (s *stand) oneHost(ctx context.Context, l *limits, agents *crowd.Crowd, r *Report) error {
	s.o.Say("one order to one host, again and again")
	times := make([]time.Duration, 0, oneHostTries)
	for i := range oneHostTries {
		before := agents.Recorded()
		began := time.Now()
		if err := s.deploy(ctx, s.names[i%len(s.names):][:1]); err != nil {
			return err
		}
		if err := agents.Await(ctx, agents.Recorded, before+1); err != nil {
			return fmt.Errorf("answers of one host: %w", err)
		}
		times = append(times, time.Since(began))
	}
	trip, err := l.trip(oneHostTries)
	if err != nil {
		return err
	}
	r.OneHost = Ratio{Got: median(times).Seconds(), Limit: trip.Seconds()}
	return nil
}

// restart measures how long the server takes to serve again with all its hosts.
func (s *stand) restart(ctx context.Context, r *Report) error {
	s.o.Say(fmt.Sprintf("starting the server anew, with %d hosts", s.o.Hosts))
	if err := s.app.Stop(); err != nil {
		return err
	}
	began := time.Now()
	if err := s.start(ctx); err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.app.URL()+"/readyz", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the server is not ready after its start: %s", resp.Status)
	}
	r.StartSeconds = time.Since(began).Seconds()
	r.ServerBytes, err = resident()
	return err
}

func median[T cmp.Ordered](values []T) T {
	values = slices.Clone(values)
	slices.Sort(values)
	return values[len(values)/2]
}

// middle is the ratio of the median.
func middle(ratios []Ratio) Ratio {
	slices.SortFunc(ratios, func(a, b Ratio) int { return cmp.Compare(a.Value(), b.Value()) })
	return ratios[len(ratios)/2]
}
