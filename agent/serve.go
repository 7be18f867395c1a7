package agent

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nixfleet/nixfleet/agentbus"
)

// renewRetry is the pause after a renewal of the certificate that failed.
const renewRetry = 10 * time.Minute

// Serve joins the bus as id and runs an agent until ctx ends. It fills in the
// parts of cfg that come from the enrolment, and renews the host's certificate at
// half its life.
func Serve(ctx context.Context, id Identity, cfg Config) error {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	bus := &membership{id: id}
	conf := id.Bus()
	conf.Now, conf.Log = cfg.Now, cfg.Log
	link, err := agentbus.ConnectHost(ctx, conf)
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	defer link.Close()
	cfg.Link, cfg.LastGen = link, id.LastGen
	if anchor := anchorOf(id.Server); anchor != "" {
		cfg.Anchors = append(slices.Clone(cfg.Anchors), anchor)
	}
	cfg.FreshRoundTrip = func(ctx context.Context) error {
		return agentbus.FreshRoundTrip(ctx, bus.current().Bus())
	}
	a, err := New(cfg)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.Run(ctx) })
	g.Go(func() error { return a.renew(ctx, bus, link) })
	return g.Wait()
}

// membership is the identity, which a renewal replaces.
type membership struct {
	mu sync.Mutex
	id Identity
}

func (m *membership) current() Identity {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.id
}

func (a *Agent) renew(ctx context.Context, m *membership, link *agentbus.HostLink) error {
	for ctx.Err() == nil {
		id := m.current()
		at := id.renewAt()
		if at.IsZero() {
			<-ctx.Done()
			return nil
		}
		if wait := at.Sub(a.cfg.Now()); wait > 0 {
			pause(ctx, min(wait, time.Hour)) // the machine may sleep through a long timer
			continue
		}
		renewed, err := Enroll(ctx, Enrolment{
			Server: id.Server, Host: id.Host, StateDir: a.cfg.StateDir, Insecure: id.Insecure, Now: a.cfg.Now,
		})
		if err != nil {
			a.cfg.Log("renew certificate: " + err.Error())
			pause(ctx, renewRetry)
			continue
		}
		m.mu.Lock()
		m.id = renewed
		m.mu.Unlock()
		if err := link.Renew(renewed.Bus()); err != nil {
			a.cfg.Log("renew certificate: " + err.Error())
		}
	}
	return nil
}
