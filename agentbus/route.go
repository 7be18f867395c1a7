package agentbus

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// headStart is how long a route may take before the next one is tried beside it.
const headStart = 2 * time.Second

// maxGreeting bounds the line with which a broker greets.
const maxGreeting = 64 << 10

// maxOthers bounds how many servers of a cluster a host remembers.
const maxOthers = 16

// route is one way to the broker: TCP to its own port, or a WebSocket through
// the server's. A firewall may close the first and hardly ever does the second.
type route struct {
	url *url.URL
	tls *tls.Config // nil: in the clear, unless the broker asks for TLS
}

// parseRoutes reads the addresses of the bus, TCP first. With a CA, what goes over
// TCP is encrypted and only that CA counts. The server's public address is the
// affair of others too, so there the CA counts beside those of the system.
func parseRoutes(urls []string, ca []byte) ([]route, error) {
	pinned, beside, err := roots(ca)
	if err != nil {
		return nil, err
	}
	var direct, tunnels []route
	for _, text := range urls {
		if !strings.Contains(text, "://") {
			text = "nats://" + text
		}
		u, err := url.Parse(text)
		if err != nil || u.Hostname() == "" {
			return nil, fmt.Errorf("the address of the bus %q is not a URL", text)
		}
		secured := func(roots *x509.CertPool) *tls.Config {
			return &tls.Config{ServerName: u.Hostname(), RootCAs: roots, MinVersion: tls.VersionTLS12}
		}
		switch u.Scheme {
		case "nats", "tls":
			r := route{url: withPort(u, "4222")}
			if u.Scheme == "tls" || pinned != nil {
				r.tls = secured(pinned)
			}
			direct = append(direct, r)
		case "ws":
			tunnels = append(tunnels, route{url: u})
		case "wss":
			tunnels = append(tunnels, route{url: u, tls: secured(beside)})
		default:
			return nil, fmt.Errorf("the address of the bus %q does not begin with tls, nats, wss or ws", text)
		}
	}
	for _, group := range [][]route{direct, tunnels} {
		rand.Shuffle(len(group), func(i, j int) { group[i], group[j] = group[j], group[i] })
	}
	if len(direct)+len(tunnels) == 0 {
		return nil, errors.New("no address of the bus is known")
	}
	return append(direct, tunnels...), nil
}

// roots are the pinned authorities alone, and those beside the system's. Nil
// means the system's.
func roots(ca []byte) (pinned, beside *x509.CertPool, err error) {
	if len(ca) == 0 {
		return nil, nil, nil
	}
	pinned = x509.NewCertPool()
	if !pinned.AppendCertsFromPEM(ca) {
		return nil, nil, errors.New("the CA holds no certificate in PEM")
	}
	if beside, err = x509.SystemCertPool(); err != nil {
		beside = x509.NewCertPool() // a machine without any
	}
	beside.AppendCertsFromPEM(ca)
	return pinned, beside, nil
}

func withPort(u *url.URL, port string) *url.URL {
	if u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), port)
	}
	return u
}

// race opens the routes in their order, each as soon as the one before it has
// failed or has had its head start, and returns the first on which the broker
// greets.
func race(ctx context.Context, routes []route) (*greeted, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		conn *greeted
		err  error
	}
	results := make(chan result)
	timer := time.NewTimer(0)
	defer timer.Stop()
	var failed []error
	for started, ended := 0, 0; ; {
		select {
		case <-timer.C:
			if started == len(routes) {
				continue
			}
			r := routes[started]
			started++
			timer.Reset(headStart)
			go func() {
				conn, err := r.open(ctx)
				select {
				case results <- result{conn, err}:
				case <-ctx.Done():
					if err == nil {
						_ = conn.Close()
					}
				}
			}()
		case got := <-results:
			if got.err == nil {
				return got.conn, nil
			}
			failed = append(failed, got.err)
			if ended++; ended == len(routes) {
				return nil, errors.Join(failed...)
			}
			timer.Reset(0)
		case <-ctx.Done():
			return nil, errors.Join(append(failed, ctx.Err())...)
		}
	}
}

// open returns a connection over which the broker speaks NATS, TLS in place
// where there is any. Its first bytes are the broker's greeting.
func (r route) open(ctx context.Context) (*greeted, error) {
	conn, err := r.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.url.Redacted(), err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	greeted, err := r.greet(ctx, conn)
	if !stop() {
		err = errors.Join(ctx.Err(), err)
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("%s: %w", r.url.Redacted(), err)
	}
	return greeted, nil
}

// tunnels reports whether r goes through the server.
func (r route) tunnels() bool { return r.url.Scheme == "ws" || r.url.Scheme == "wss" }

func (r route) dial(ctx context.Context) (net.Conn, error) {
	if !r.tunnels() {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", r.url.Host)
	}
	client := &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: r.tls, DisableKeepAlives: true,
	}}
	ws, resp, err := websocket.Dial(ctx, r.url.String(), &websocket.DialOptions{HTTPClient: client})
	if err != nil {
		if resp != nil && resp.StatusCode != http.StatusSwitchingProtocols {
			return nil, fmt.Errorf("the server answered %s instead of opening a WebSocket", resp.Status)
		}
		return nil, err
	}
	return tunnel{websocket.NetConn(context.Background(), ws, websocket.MessageBinary), ws}, nil
}

// tunnel is a WebSocket that closes at once: NATS has said its own goodbye.
type tunnel struct {
	net.Conn
	ws *websocket.Conn
}

func (t tunnel) Close() error { return t.ws.CloseNow() }

// greet reads the broker's greeting and does what it and the route ask for.
func (r route) greet(ctx context.Context, conn net.Conn) (*greeted, error) {
	in := bufio.NewReader(conn)
	line, err := readGreeting(in)
	if err != nil {
		return nil, err
	}
	var info struct {
		Required  bool     `json:"tls_required"`
		Available bool     `json:"tls_available"`
		Others    []string `json:"connect_urls"` // of the cluster
	}
	if err := json.Unmarshal([]byte(line[len("INFO "):]), &info); err != nil {
		return nil, errors.New("what answers there is no NATS server")
	}
	if _, inside := conn.(tunnel); inside {
		return &greeted{Conn: conn, in: io.MultiReader(strings.NewReader(line), in)}, nil
	}
	if r.tls == nil && !info.Required {
		return &greeted{Conn: conn, in: io.MultiReader(strings.NewReader(line), in), others: r.like(info.Others)}, nil
	}
	if !info.Required && !info.Available {
		return nil, errors.New("the bus offers no TLS there, and this host insists on it")
	}
	// Whatever came in the clear beyond the greeting is not the broker's.
	if in.Buffered() > 0 {
		return nil, errors.New("something else spoke before TLS began")
	}
	conf := r.tls
	if conf == nil {
		conf = &tls.Config{ServerName: r.url.Hostname(), MinVersion: tls.VersionTLS12}
	}
	secure := tls.Client(conn, conf)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return &greeted{Conn: secure, in: io.MultiReader(strings.NewReader(line), secure), others: r.like(info.Others)}, nil
}

// like are direct routes to other servers of the same cluster, which present
// themselves under the name of this one where they are known by number only.
func (r route) like(addresses []string) (others []route) {
	for _, address := range addresses[:min(len(addresses), maxOthers)] {
		other := route{url: &url.URL{Scheme: r.url.Scheme, Host: address}, tls: r.tls}
		if name := other.url.Hostname(); r.tls != nil && net.ParseIP(name) == nil {
			other.tls = r.tls.Clone()
			other.tls.ServerName = name
		}
		if address != r.url.Host {
			others = append(others, other)
		}
	}
	return others
}

func readGreeting(in *bufio.Reader) (string, error) {
	var line strings.Builder
	for line.Len() < maxGreeting {
		part, err := in.ReadSlice('\n')
		line.Write(part)
		switch {
		case err == nil && strings.HasPrefix(line.String(), "INFO "):
			return line.String(), nil
		case err == nil:
			return "", errors.New("what answers there is no NATS server")
		case !errors.Is(err, bufio.ErrBufferFull):
			return "", fmt.Errorf("the bus does not greet: %w", err)
		}
	}
	return "", errors.New("what answers there is no NATS server")
}

// greeted is a connection that repeats the greeting to whoever reads first.
type greeted struct {
	net.Conn
	in     io.Reader
	others []route // that the broker told of
}

func (g *greeted) Read(b []byte) (int, error) { return g.in.Read(b) }
