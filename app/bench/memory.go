package bench

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/nixfleet/nixfleet/agentbus"
)

// idleHosts are hosts with a connection each, for what one costs in memory. More
// would say the same and need more files than a process may open.
const idleHosts = 1000

// memory compares hosts as they are, in this process with server and bus, with bare
// connections to the same broker under the same names and rights.
func (s *stand) memory(ctx context.Context, r *Report) error {
	n := min(idleHosts, s.o.Hosts)
	s.o.Say(fmt.Sprintf("memory of %d idle hosts with a connection each", n))
	bare, err := s.cost(n, func(i int) (func(), error) { return s.bareHost(i) })
	if err != nil {
		return err
	}
	real, err := s.cost(n, func(i int) (func(), error) { return s.realHost(ctx, i) })
	if err != nil {
		return err
	}
	r.Memory = Ratio{Got: real, Limit: bare}
	return nil
}

// cost is how much the memory in use grows for each of n things, in bytes.
func (s *stand) cost(n int, open func(i int) (func(), error)) (float64, error) {
	before := inUse()
	for i := range n {
		shut, err := open(i)
		if err != nil {
			return 0, err
		}
		defer shut()
	}
	return float64(inUse()-before) / float64(n), nil
}

// credential makes a host's key and certificate.
func (s *stand) credential(i int) (seed []byte, jwt string, err error) {
	user, err := nkeys.CreateUser()
	if err != nil {
		return nil, "", err
	}
	if seed, err = user.Seed(); err != nil {
		return nil, "", err
	}
	public, err := user.PublicKey()
	if err != nil {
		return nil, "", err
	}
	jwt, err = s.bus.IssueHost(s.names[i], public, time.Hour)
	return seed, jwt, err
}

func (s *stand) bareHost(i int) (func(), error) {
	seed, jwt, err := s.credential(i)
	if err != nil {
		return nil, err
	}
	nc, err := nats.Connect(s.app.BusURLs()[0], nats.UserJWTAndSeed(jwt, string(seed)), nats.CustomInboxPrefix("_INBOX_"+s.names[i]))
	if err != nil {
		return nil, fmt.Errorf("bare connection: %w", err)
	}
	if _, err := nc.Subscribe("cmd."+s.names[i], func(*nats.Msg) {}); err != nil {
		return nil, fmt.Errorf("bare connection: %w", err)
	}
	return nc.Close, nc.Flush()
}

func (s *stand) realHost(ctx context.Context, i int) (func(), error) {
	seed, jwt, err := s.credential(i)
	if err != nil {
		return nil, err
	}
	link, err := agentbus.ConnectHost(ctx, agentbus.HostConfig{
		URLs: s.app.BusURLs()[:1], Host: s.names[i], Fleet: s.keys.FleetID(), UserJWT: jwt, Seed: seed,
		OrderKeys: s.keys.OrderKeys(), Log: func(string) {},
	})
	if err != nil {
		return nil, fmt.Errorf("host: %w", err)
	}
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for !link.Connected() {
		select {
		case <-look.C:
		case <-ctx.Done():
			link.Close()
			return nil, fmt.Errorf("host %s does not get onto the bus: %w", s.names[i], context.Cause(ctx))
		}
	}
	return link.Close, link.Heartbeat(agentbus.Heartbeat{Observed: agentbus.Observation{AgentVersion: "0.1.0", Platform: "nixos"}})
}

// inUse is the memory that live objects and goroutines take, in bytes.
func inUse() int64 {
	debug.FreeOSMemory() // collects, twice over what finalizers held
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// resident is the memory that the kernel counts for this process, in bytes; 0 where
// it does not tell.
func resident() (int64, error) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, nil //nolint:nilerr // not Linux
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kib << 10, err
		}
	}
	return 0, nil
}
