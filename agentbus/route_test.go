package agentbus_test

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/agentbus/broker"
	"github.com/nixfleet/nixfleet/agentbus/bustest"
)

// secured is a bus with TLS on its own port and a way through an HTTPS server.
type secured struct {
	*bustest.Bus
	authority *broker.Authority
	now       atomic.Int64
	front     string       // its address
	came      atomic.Int64 // WebSockets that went through the front
	tunnels   sync.Map     // the connections of the front, hijacked ones too
}

func startSecured(t *testing.T) *secured {
	t.Helper()
	s := &secured{Bus: &bustest.Bus{Keys: bustest.Keys(t)}}
	s.now.Store(time.Now().UnixNano())
	var err error
	s.authority, err = broker.OpenAuthority(filepath.Join(t.TempDir(), "ca.pem"), []string{"127.0.0.1"}, func() time.Time { return time.Unix(0, s.now.Load()) })
	if err != nil {
		t.Fatal(err)
	}
	s.Broker = bustest.StartBroker(t, broker.Options{
		Dir: t.TempDir(), Listen: "127.0.0.1:0", Trust: s.Keys.Trust(), Tunnel: true,
		TLS: &tls.Config{GetCertificate: s.authority.Certificate, MinVersion: tls.VersionTLS12},
	})
	s.Control = bustest.Connect(t, agentbus.ControlOptions{Broker: s.Broker, Keys: s.Keys})
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: s.Broker.Tunnel()})
	}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.front = l.Addr().String()
	var handlers sync.WaitGroup
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/bus" {
				http.NotFound(w, r)
				return
			}
			s.came.Add(1)
			handlers.Add(1)
			defer handlers.Done()
			proxy.ServeHTTP(w, r)
		}),
		ConnState: func(c net.Conn, _ http.ConnState) { s.tunnels.Store(c, nil) },
		ErrorLog:  log.New(io.Discard, "", 0),
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(tls.NewListener(l, &tls.Config{GetCertificate: s.authority.Certificate}))
	}()
	t.Cleanup(func() {
		_ = server.Close()
		s.tunnels.Range(func(conn, _ any) bool { _ = conn.(net.Conn).Close(); return true })
		<-served
		handlers.Wait() // the server does not wait for connections that it has given away
	})
	return s
}

// host is enrolled and knows the given addresses and the way through the front.
func (s *secured) host(t *testing.T, name string, direct ...string) agentbus.HostConfig {
	t.Helper()
	cfg := s.Host(t, name)
	cfg.CA = s.authority.CA()
	cfg.URLs = append(direct, "wss://"+s.front+"/bus")
	return cfg
}

// silent is an address that takes connections and says nothing, as some firewalls do.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

func TestHostsBehindAFirewallComeThroughTheServersPort(t *testing.T) {
	t.Parallel()
	for name, direct := range map[string]func(*testing.T) string{"closed": freeAddress, "silent": silent} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startSecured(t)
			cfg := s.host(t, "web1", "tls://"+direct(t))
			if err := agentbus.FreshRoundTrip(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
			link := bustest.Link(t, cfg)
			everythingPasses(t, s.Bus, link)
			if s.came.Load() < 2 {
				t.Error("it went another way")
			}
		})
	}
}

// everythingPasses sends each kind of message over the link.
func everythingPasses(t *testing.T, b *bustest.Bus, link *agentbus.HostLink) {
	t.Helper()
	send(t, b.Control, order("web1", 1))
	got := next(t, link, 0, 1)
	var r recorder
	reading(t, b.Control, 0, r.handle)
	answerAll(t, link, got)
	bustest.Eventually(t, "six answers", func() bool { return r.count() == 6 })
	if err := b.Control.Confirm(t.Context(), []agentbus.Confirm{{Host: "web1", Order: got.ID, Seq: 6}}); err != nil {
		t.Fatal(err)
	}
	if c := <-link.Confirms(); c.Seq != 6 {
		t.Errorf("confirmed %+v", c)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	var beats, logs atomic.Int64
	wg.Go(func() {
		_ = b.Control.Heartbeats(ctx, func(batch []agentbus.HostBeat) error { beats.Add(int64(len(batch))); return nil })
	})
	wg.Go(func() {
		_ = b.Control.Logs(ctx, 0, func(_ context.Context, batch []agentbus.ReceivedLog) error {
			for _, l := range batch {
				logs.Add(int64(len(l.Chunk.Text)))
			}
			return nil
		})
	})
	text := strings.Repeat("x", 32<<10)
	if _, err := link.Log(t.Context(), []agentbus.LogChunk{{Order: got.ID, Step: agentbus.StepBuilding, Text: []byte(text)}}); err != nil {
		t.Fatal(err)
	}
	bustest.Eventually(t, "a log chunk", func() bool { return logs.Load() == int64(len(text)) })
	bustest.Eventually(t, "a heartbeat", func() bool {
		_ = link.Heartbeat(agentbus.Heartbeat{})
		return beats.Load() > 0
	})
}

// openDoor passes connections on to target and counts them.
func openDoor(t *testing.T, target string) (address string, came *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	came = new(atomic.Int64)
	wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			came.Add(1)
			out, err := net.Dial("tcp", target)
			if err != nil {
				_ = in.Close()
				continue
			}
			for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
				wg.Go(func() {
					_, _ = io.Copy(way[0], way[1])
					_, _ = way[0].Close(), way[1].Close()
				})
			}
		}
	})
	return l.Addr().String(), came
}

func TestTheDirectWayIsPreferred(t *testing.T) {
	t.Parallel()
	s := startSecured(t)
	link := bustest.Link(t, s.host(t, "web1", s.Broker.URL()))
	everythingPasses(t, s.Bus, link)
	if n := s.came.Load(); n != 0 {
		t.Errorf("%d connections went through the server, although the bus's own port is open", n)
	}
}

// A host that learns of an open port takes it with its next connection.
func TestTheNextConnectionTriesTheDirectWayAgain(t *testing.T) {
	t.Parallel()
	s := startSecured(t)
	door, came := openDoor(t, strings.TrimPrefix(s.Broker.URL(), "tls://"))
	direct := s.host(t, "web1", "tls://"+door)
	link := bustest.Link(t, s.host(t, "web1", "tls://"+freeAddress(t)))
	bustest.Eventually(t, "a connection through the server", link.Connected)
	if err := link.Renew(direct); err != nil {
		t.Fatal(err)
	}
	before := s.came.Load()
	everythingPasses(t, s.Bus, link) // the renewal leaves the connection alone
	s.tunnels.Range(func(conn, _ any) bool { _ = conn.(net.Conn).Close(); return true })
	bustest.Eventually(t, "a direct connection", func() bool { return came.Load() > 0 && link.Connected() })
	if s.came.Load() != before {
		t.Error("it came through the server again")
	}
}

// stranger is the address of something that greets in another language.
func stranger(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "SSH-2.0-OpenSSH_9.9\r\n")
			_ = conn.Close()
		}
	}()
	return l.Addr().String()
}

func TestHostsInsistOnTheirAuthority(t *testing.T) {
	t.Parallel()
	s, other, plain := startSecured(t), startSecured(t), bustest.Start(t)
	for name, c := range map[string]struct {
		url, ca, says string
	}{
		"the pinned one":                   {s.Broker.URL(), string(s.authority.CA()), ""},
		"another one":                      {s.Broker.URL(), string(other.authority.CA()), "unknown authority"},
		"the system's":                     {s.Broker.URL(), "", "unknown authority"},
		"a bus that offers no TLS":         {strings.Replace(plain.Broker.URL(), "nats:", "tls:", 1), string(s.authority.CA()), "offers no TLS"},
		"a plain address, with a pinned":   {plain.Broker.URL(), string(s.authority.CA()), "offers no TLS"},
		"another one, through the server":  {"wss://" + s.front + "/bus", string(other.authority.CA()), "unknown authority"},
		"another address of the server":    {"wss://" + s.front + "/other", string(s.authority.CA()), "404"},
		"something that is no NATS server": {"nats://" + stranger(t), "", "no NATS server"},
		"an address of another kind":       {"ftp://x", "", "tls, nats, wss or ws"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := s.Host(t, "web1")
			cfg.URLs, cfg.CA = []string{c.url}, []byte(c.ca)
			err := agentbus.FreshRoundTrip(t.Context(), cfg)
			if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("error %v, want %q", err, c.says)
			}
		})
	}
}

func TestTheCertificateIsRenewedUnderTheConnections(t *testing.T) {
	t.Parallel()
	s := startSecured(t)
	link := bustest.Link(t, s.host(t, "web1", s.Broker.URL()))
	bustest.Eventually(t, "a connection", link.Connected)
	first := s.authority.Expires()
	s.now.Add(int64(61 * 24 * time.Hour))
	// The new one begins in the host's future: only the broker's side is looked at.
	conn, err := tls.Dial("tcp", s.front, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := conn.ConnectionState().PeerCertificates[0].NotAfter; !got.After(first) || !s.authority.Expires().After(first) {
		t.Errorf("presented until %v, the first one until %v", got, first)
	}
	everythingPasses(t, s.Bus, link)
}
