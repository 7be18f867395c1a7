package agent

import (
	"context"
	"net"
	"net/url"
	"regexp"
	"slices"
	"sync"
	"time"
)

// Bounds of what is tried beside the bus.
const (
	maxAnchors    = 16
	anchorTimeout = 5 * time.Second
)

// reach is what answered at one moment: the bus, over a new connection, and which
// of the anchors.
type reach struct {
	Bus     bool     `json:"bus"`
	Anchors []string `json:"anchors,omitempty"`
}

// nothing reports whether nothing answered at all.
func (r reach) nothing() bool { return !r.Bus && len(r.Anchors) == 0 }

// network is what a switch has done to the host's network, as far as can be told.
type network string

// The judgements.
const (
	networkWell network = "well"        // the bus answers
	serverDown  network = "server_down" // it does not, but what answered before the switch still does
	networkLost network = "network_lost"
)

// since tells a network that the switch has broken from a server that is down: of
// the anchors that answered before the switch, one that answers now has crossed
// the new system's network. One that did not answer before proves nothing.
func (r reach) since(before reach) network {
	switch {
	case r.Bus:
		return networkWell
	case slices.ContainsFunc(r.Anchors, func(a string) bool { return slices.Contains(before.Anchors, a) }):
		return serverDown
	}
	return networkLost
}

// probe tries the bus and the anchors at the same time. The error is why the bus
// did not answer.
func (c *Config) probe(ctx context.Context, anchors []string) (r reach, bus error) {
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	wg.Go(func() { bus = c.FreshRoundTrip(ctx) })
	for _, a := range anchors {
		wg.Go(func() {
			if answers(ctx, a) {
				mu.Lock()
				defer mu.Unlock()
				r.Anchors = append(r.Anchors, a)
			}
		})
	}
	wg.Wait()
	r.Bus = bus == nil
	slices.Sort(r.Anchors)
	return r, bus
}

func answers(ctx context.Context, anchor string) bool {
	dialer := net.Dialer{Timeout: anchorTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", anchor)
	if err != nil {
		return false
	}
	defer conn.Close()
	return !onThisMachine(conn)
}

// onThisMachine reports whether conn has crossed no network: who speaks to an
// address of its own machine does so from that address.
func onThisMachine(conn net.Conn) bool {
	here, _, _ := net.SplitHostPort(conn.LocalAddr().String())
	there, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
	return here == there
}

// anchors are the addresses that tell a lost network from a server that is down:
// the policy's, those of the configuration, and where the order's commits come
// from. What is on this machine would answer without any network.
func (t *task) anchors() []string {
	var all []string
	all = append(append(all, t.order.Policy.Anchors...), t.cfg.Anchors...)
	all = append(all, anchorOf(or(t.order.Repo, t.notes.get().Repo)))
	var out []string
	for _, a := range all {
		host, port, err := net.SplitHostPort(a)
		if err != nil || host == "" || port == "" || host == "localhost" || net.ParseIP(host).IsLoopback() || slices.Contains(out, a) {
			continue
		}
		out = append(out, a)
	}
	return out[:min(len(out), maxAnchors)]
}

var scpAddress = regexp.MustCompile(`^(?:[^/@:]+@)?([^/:@]+):[^/:]`)

// anchorOf is the host:port behind an address as browsers or git write them; ""
// where there is none.
func anchorOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		if m := scpAddress.FindStringSubmatch(address); m != nil {
			return net.JoinHostPort(m[1], "22")
		}
		return ""
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80", "ssh": "22"}[u.Scheme]
	}
	if port == "" {
		return ""
	}
	return net.JoinHostPort(u.Hostname(), port)
}
