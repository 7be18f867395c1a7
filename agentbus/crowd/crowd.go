// Package crowd simulates the hosts of a large fleet, to measure what the server and
// the bus bear.
//
// In come real signed orders, out go heartbeats and the six answers of a deploy that
// goes well; between them nothing is built. Many hosts share few connections, because
// it is the server's side that is measured: on real hosts each has a connection, and
// the work of verifying an order, to itself. What may go wrong is that a message does
// not verify, which ends the measurement.
package crowd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/nixfleet/nixfleet/agentbus"
)

// verifyEach is how many orders there are for each that is verified whole. A
// signature costs a host 60 µs of its own processor, and the crowd has none.
const verifyEach = 64

// steps are the answers to a deploy that goes well.
var steps = []agentbus.Step{
	agentbus.StepReceived, agentbus.StepFetching, agentbus.StepBuilding,
	agentbus.StepSwitching, agentbus.StepVerifying, agentbus.StepHealthy,
}

// Answers is how many answers each order gets.
const Answers = 6

// Options say who the hosts are and how they reach the bus.
type Options struct {
	Keys        *agentbus.Keyring
	URL         string
	Hosts       []string
	Connections int
}

// Crowd is hosts that obey.
type Crowd struct {
	keys     *agentbus.Keyring
	hosts    []string
	conns    []*nats.Conn
	received atomic.Int64 // orders
	recorded atomic.Int64 // orders whose last answer the server has confirmed
	fault    atomic.Pointer[error]
	changed  chan struct{}
}

// Join connects the hosts. Close ends them.
func Join(o Options) (*Crowd, error) {
	c := &Crowd{keys: o.Keys, hosts: o.Hosts, changed: make(chan struct{}, 1)}
	for range max(1, o.Connections) {
		nc, err := c.dial(o.URL)
		if err != nil {
			c.Close()
			return nil, fmt.Errorf("join as %d hosts: %w", len(o.Hosts), err)
		}
		c.conns = append(c.conns, nc)
	}
	for i, host := range o.Hosts {
		nc, acks := c.conn(i), fmt.Sprintf("acks.%d", i%len(c.conns))
		if _, err := nc.Subscribe("cmd."+host, func(m *nats.Msg) { c.obey(nc, host, acks, m.Data) }); err != nil {
			c.Close()
			return nil, fmt.Errorf("join as host %s: %w", host, err)
		}
	}
	for _, nc := range c.conns {
		if err := nc.Flush(); err != nil {
			c.Close()
			return nil, fmt.Errorf("join as %d hosts: %w", len(o.Hosts), err)
		}
	}
	return c, nil
}

func (c *Crowd) dial(url string) (*nats.Conn, error) {
	login, err := c.keys.CrowdLogin()
	if err != nil {
		return nil, err
	}
	nc, err := nats.Connect(url, login, nats.Name("simulated hosts"), nats.MaxReconnects(-1))
	if err != nil {
		return nil, err
	}
	// Every answer is acknowledged by the broker; nobody here has to read that.
	if _, err := nc.Subscribe(fmt.Sprintf("acks.%d", len(c.conns)), func(*nats.Msg) {}); err != nil {
		nc.Close()
		return nil, err
	}
	return nc, nc.Flush()
}

func (c *Crowd) conn(host int) *nats.Conn { return c.conns[host%len(c.conns)] }

// Close ends all hosts.
func (c *Crowd) Close() {
	for _, nc := range c.conns {
		nc.Close()
	}
}

// obey answers an order and takes note of a confirmation.
func (c *Crowd) obey(nc *nats.Conn, host, acks string, data []byte) {
	var e agentbus.Envelope
	err := json.Unmarshal(data, &e)
	switch {
	case err != nil:
	case e.Type == agentbus.TypeConfirm:
		var confirm agentbus.Confirm
		if err = json.Unmarshal(e.Payload, &confirm); err == nil && confirm.Seq == Answers {
			c.recorded.Add(1)
			c.poke()
		}
	case e.Type == agentbus.TypeOrder:
		err = c.order(nc, host, acks, data, e.Payload)
	}
	if err != nil {
		err = fmt.Errorf("host %s: %w", host, err)
		c.fault.CompareAndSwap(nil, &err)
		c.poke()
	}
}

func (c *Crowd) order(nc *nats.Conn, host, acks string, data, payload []byte) error {
	var o agentbus.Order
	if err := json.Unmarshal(payload, &o); err != nil {
		return err
	}
	if n := c.received.Add(1); n%verifyEach == 0 {
		if _, err := c.keys.OpenOrder(host, data); err != nil {
			return err
		}
	}
	c.poke()
	for i, step := range steps {
		answer := agentbus.Answer{V: agentbus.ProtocolVersion, Order: o.ID, Gen: o.Gen, Seq: uint32(i + 1), Step: step, At: o.IssuedAt}
		text, err := json.Marshal(answer)
		if err == nil {
			err = nc.PublishRequest("ev."+host, acks, text)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *Crowd) poke() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// Received counts the orders that hosts got, Recorded those whose last answer the
// server has confirmed, which it does after it stored it.
func (c *Crowd) Received() int64 { return c.received.Load() }

// Recorded counts the orders whose last answer the server has confirmed.
func (c *Crowd) Recorded() int64 { return c.recorded.Load() }

// Await waits until count reaches n.
func (c *Crowd) Await(ctx context.Context, count func() int64, n int64) error {
	again := time.NewTicker(10 * time.Millisecond) // one poke may stand for several
	defer again.Stop()
	for count() < n {
		select {
		case <-c.changed:
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d: %w", count(), n, errors.Join(context.Cause(ctx), c.err()))
		}
		if err := c.err(); err != nil {
			return err
		}
	}
	return c.err()
}

func (c *Crowd) err() error {
	if err := c.fault.Load(); err != nil {
		return *err
	}
	return nil
}

// Beat sends a heartbeat of every host. uptime is what they claim, in seconds, so
// that one can tell this round from another.
func (c *Crowd) Beat(uptime int64) error {
	const path = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-nixos-system-simulated-26.05"
	commit := fmt.Sprintf("%040x", 0xc0ffee)
	data, err := json.Marshal(agentbus.Heartbeat{V: agentbus.ProtocolVersion, Observed: agentbus.Observation{
		AgentVersion: "0.1.0", Platform: "nixos", UptimeSeconds: uptime, CheckoutCommit: commit, RemoteCommit: commit, RunningCommit: commit,
		RunningPath: path, BootedPath: path, ProfilePath: path, ExpectedPath: path, ExpectedCommit: commit,
		Load1: 0.25, MemoryUsed: 1 << 33, MemoryTotal: 1 << 34, StoreFree: 1 << 36, StoreTotal: 1 << 38,
	}})
	if err != nil {
		return err
	}
	for i, host := range c.hosts {
		if err := c.conn(i).Publish("hb."+host, data); err != nil {
			return fmt.Errorf("heartbeat of %s: %w", host, err)
		}
	}
	for _, nc := range c.conns {
		if err := nc.Flush(); err != nil {
			return fmt.Errorf("heartbeats: %w", err)
		}
	}
	return nil
}
