package agent

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nixfleet/nixfleet/agentbus"
)

// renewRetry is the pause after a renewal of the certificate that failed.
const renewRetry = 10 * time.Minute

const (
	identityLook = 2 * time.Second // between looks whether another process has changed the identity
	summonsPause = time.Minute     // between renewals that the server asks for
)

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
	cfg.OrderKeys = func() []string { return agentbus.KeyIDs(bus.current().OrderKeys) }
	cfg.RepoToken = func(ctx context.Context) (agentbus.RepoToken, error) {
		return askRepoToken(ctx, bus.current(), cfg.Now())
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
	mu  sync.Mutex
	id  Identity
	old bool // it is to be renewed now
}

// expire makes the next renewal due.
func (m *membership) expire() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.old = true
}

// renewAt is when to renew; zero means never.
func (m *membership) renewAt() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.old {
		return time.Unix(0, 1)
	}
	return m.id.renewAt()
}

func (m *membership) current() Identity {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.id
}

// renew keeps the certificate young. It renews at half its life, or when the server
// asks for it, and takes up what another process, such as a change of key, has
// put into the state directory.
func (a *Agent) renew(ctx context.Context, m *membership, link *agentbus.HostLink) error {
	var asked, failed time.Time
	stamp := a.identityStamp()
	tick := time.NewTicker(identityLook)
	defer tick.Stop()
	for ctx.Err() == nil {
		now := a.cfg.Now()
		if seen := a.identityStamp(); !seen.Equal(stamp) {
			stamp = seen
			if id, err := LoadIdentity(a.cfg.StateDir); err == nil {
				a.become(m, link, id)
			}
		}
		id := m.current()
		at := m.renewAt()
		if !at.IsZero() && !now.Before(at) && now.Sub(failed).Abs() >= renewRetry {
			e := Enrolment{Server: id.Server, Host: id.Host, StateDir: a.cfg.StateDir, Insecure: id.Insecure, Now: a.cfg.Now}
			renewed, err := e.renewal(ctx, id)
			if err == nil {
				a.become(m, link, renewed)
				stamp, failed = a.identityStamp(), time.Time{}
			} else {
				a.cfg.Log("renew certificate: " + err.Error())
				failed = now
			}
			if err = renewed.doubt; err != nil {
				a.cfg.Log("renew certificate: " + err.Error())
				failed = now
			}
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-link.Summons():
			if now.Sub(asked).Abs() >= summonsPause {
				asked, failed = now, time.Time{}
				m.expire()
			}
		}
	}
	return nil
}

// become takes up a new identity, on the bus too.
func (a *Agent) become(m *membership, link *agentbus.HostLink, id Identity) {
	m.mu.Lock()
	m.id, m.old = id, false
	m.mu.Unlock()
	if err := link.Renew(id.Bus()); err != nil {
		a.cfg.Log("renew certificate: " + err.Error())
	}
	wake(a.beat) // the server sees what the host knows now
}

// identityStamp changes when the identity is written.
func (a *Agent) identityStamp() time.Time {
	info, err := os.Stat(statePath(a.cfg.StateDir, identityFile))
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}
