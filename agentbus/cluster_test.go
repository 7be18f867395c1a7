package agentbus_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/agentbus/bustest"
)

// natsChildEnv names a configuration file: the test binary is a nats-server on it.
const natsChildEnv = "AGENTBUS_TEST_NATS"

func runNATSChild() {
	opts, err := server.ProcessConfigFile(os.Getenv(natsChildEnv))
	var s *server.Server
	if err == nil {
		opts.NoSigs = true
		s, err = server.NewServer(opts)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "failed:", err)
		os.Exit(1)
	}
	s.Start()
	select {} // until it is killed
}

// cluster is three nats-servers, each a process of its own on the configuration
// that the keyring gives.
type cluster struct {
	files [3]string
	urls  [3]string
	procs [3]*exec.Cmd
}

func startCluster(t *testing.T, keys *agentbus.Keyring) *cluster {
	t.Helper()
	c := &cluster{}
	var listen, routes [3]string
	for i := range c.urls {
		listen[i], routes[i] = freeAddress(t), freeAddress(t)
		c.urls[i] = "nats://" + listen[i]
	}
	for i := range c.files {
		dir := t.TempDir()
		c.files[i] = filepath.Join(dir, "nats.conf")
		text := keys.ServerConfig(dir) + fmt.Sprintf(
			"server_name: n%d\nlisten: %q\ncluster: {\n  name: fleet\n  listen: %q\n  routes: [%s]\n}\n",
			i+1, listen[i], routes[i], "nats://"+strings.Join(routes[:], ", nats://"))
		if err := os.WriteFile(c.files[i], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c.start(t, i)
	}
	t.Cleanup(func() {
		for i := range c.procs {
			c.kill(i)
		}
	})
	return c
}

func (c *cluster) start(t *testing.T, i int) {
	t.Helper()
	c.procs[i] = exec.Command(os.Args[0])
	c.procs[i].Env = append(os.Environ(), natsChildEnv+"="+c.files[i])
	if err := c.procs[i].Start(); err != nil {
		t.Fatal(err)
	}
}

func (c *cluster) kill(i int) {
	_ = c.procs[i].Process.Kill()
	_ = c.procs[i].Wait()
}

// connect joins the cluster as a server once it has found a leader.
func (c *cluster) connect(t *testing.T, keys *agentbus.Keyring) *agentbus.Control {
	t.Helper()
	var control *agentbus.Control
	bustest.Eventually(t, "the cluster to elect a leader", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		var err error
		control, err = agentbus.ConnectControl(ctx, agentbus.ControlOptions{URLs: c.urls[:], Keys: keys, Log: bustest.Log(t)})
		return err == nil
	})
	t.Cleanup(control.Close)
	return control
}

// leads reports which of the servers leads the bucket of orders.
func leads(ctx context.Context, control *agentbus.Control) (int, error) {
	stream, err := control.JetStream().Stream(ctx, "KV_desired")
	if err != nil {
		return 0, err
	}
	info, err := stream.Info(ctx)
	if err != nil {
		return 0, err
	}
	var n int
	if info.Cluster == nil {
		return 0, jetstream.ErrStreamNotFound
	}
	_, err = fmt.Sscanf(info.Cluster.Leader, "n%d", &n)
	return n - 1, err
}

// A cluster of one's own keeps three copies of everything: the death of any one of
// its servers, the leader too, costs a pause and nothing else.
func TestAClusterGoesOnWithoutOneOfItsServers(t *testing.T) {
	t.Parallel()
	keys := bustest.Keys(t)
	c := startCluster(t, keys)
	control := c.connect(t, keys)
	b := &bustest.Bus{Keys: keys, Control: control}
	hosts := []*agentbus.HostLink{}
	for i := range 3 {
		// Each begins at another server; the cluster tells them of the others.
		cfg := hostOn(t, b, fmt.Sprintf("web%d", i+1), []string{c.urls[i]})
		hosts = append(hosts, bustest.Link(t, cfg))
	}
	var r recorder
	reading(t, control, 0, r.handle)
	everyone := func(gen uint64) {
		t.Helper()
		bustest.Eventually(t, "orders to be taken", func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			return control.Send(ctx, []agentbus.Order{order("web1", gen), order("web2", gen), order("web3", gen)}) == nil
		})
		for _, h := range hosts {
			got := next(t, h, gen-1, gen)
			bustest.Eventually(t, "answers to be taken", func() bool { return answered(t, h, got) })
		}
		bustest.Eventually(t, "all answers to be read", func() bool { return r.count() == int(gen)*18 })
	}
	everyone(1)

	leader, err := leads(t.Context(), control)
	if err != nil {
		t.Fatal(err)
	}
	c.kill(leader)
	everyone(2)

	c.start(t, leader)
	bustest.Eventually(t, "the server that came back", func() bool {
		conn, err := net.Dial("tcp", strings.TrimPrefix(c.urls[leader], "nats://"))
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
	everyone(3)

	bustest.Eventually(t, "the bucket to hold generation 3 for each", func() bool {
		held, err := control.Desired(t.Context())
		return err == nil && len(held) == 3 && held["web1"] == 3
	})
	for _, name := range []string{"KV_desired", "EVENTS", "LOGS"} {
		stream, err := control.JetStream().Stream(t.Context(), name)
		if err != nil || stream.CachedInfo().Config.Replicas != 3 {
			t.Errorf("stream %s: %v, want three copies", name, err)
		}
	}
}

// answered sends the six answers to an order, and reports whether all were taken.
func answered(t *testing.T, h *agentbus.HostLink, o agentbus.Order) bool {
	for i, step := range steps {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		err := h.Answer(ctx, agentbus.Answer{Order: o.ID, Gen: o.Gen, Seq: uint32(i + 1), Step: step, At: time.Now().UnixMilli()})
		cancel()
		if err != nil {
			return false
		}
	}
	return true
}
