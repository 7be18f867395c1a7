package app

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/agent"
	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

// enrolled starts a server and enrols a host with it, over HTTP as a host does.
func enrolled(t *testing.T, cfg Config) (*App, agent.Identity) {
	t.Helper()
	a, err := Start(t.Context(), cfg)
	must(t, err)
	t.Cleanup(func() { must(t, a.Stop()) })
	must(t, a.db.CreateHost(t.Context(), db.NewHost{Host: fleet.Host{Name: "web1", Attr: "nixosConfigurations.web1"}, TokenHash: hash("token"), Expires: time.Now().Add(time.Hour)}, time.Now()))
	id, err := agent.Enroll(t.Context(), agent.Enrolment{Server: a.URL(), Token: "token", Host: "web1", StateDir: t.TempDir()})
	must(t, err)
	return a, id
}

func TestHostsAreToldHowToReachTheBus(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		listen, tls, public string
		want                []string // what the addresses begin with
		pins                bool
	}{
		"on this machine":         {"127.0.0.1:0", "auto", "", []string{"nats://127.0.0.1:", "ws://127.0.0.1:"}, false},
		"on all addresses":        {"0.0.0.0:0", "auto", "", []string{"tls://127.0.0.1:", "ws://127.0.0.1:"}, true},
		"on a private network":    {"0.0.0.0:0", "off", "", []string{"nats://127.0.0.1:", "ws://127.0.0.1:"}, false},
		"encrypted all the same":  {"127.0.0.1:0", "on", "", []string{"tls://127.0.0.1:", "ws://127.0.0.1:"}, true},
		"only through the server": {"", "auto", "", []string{"ws://127.0.0.1:"}, false},
		"as the settings say":     {"0.0.0.0:0", "auto", "tls://bus.example.com, wss://fleet.example.com/bus", []string{"tls://bus.example.com", "wss://fleet.example.com/bus"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := settings(t)
			cfg.NATSListen, cfg.NATSTLS, cfg.NATSPublicURLs = c.listen, c.tls, c.public
			_, id := enrolled(t, cfg)
			if len(id.URLs) != len(c.want) || (id.CA != "") != c.pins {
				t.Fatalf("told %q, and to pin %q", id.URLs, id.CA)
			}
			for i, want := range c.want {
				if !strings.HasPrefix(id.URLs[i], want) {
					t.Errorf("address %d is %s, want %s", i, id.URLs[i], want)
				}
				if c.public != "" {
					continue
				}
				bus := id.Bus()
				bus.URLs = id.URLs[i : i+1]
				if err := agentbus.FreshRoundTrip(t.Context(), bus); err != nil {
					t.Errorf("over %s: %v", id.URLs[i], err)
				}
			}
		})
	}
}

func TestTheWayThroughTheServerIsForHosts(t *testing.T) {
	t.Parallel()
	a, _ := enrolled(t, settings(t))
	for name, c := range map[string]struct {
		header map[string]string
		code   int
	}{
		"a visitor":          {nil, http.StatusUpgradeRequired},
		"another protocol":   {map[string]string{"Connection": "Upgrade", "Upgrade": "h2c"}, http.StatusUpgradeRequired},
		"a web page":         {map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Origin": "https://evil.example"}, http.StatusForbidden},
		"not quite a socket": {map[string]string{"Connection": "Upgrade", "Upgrade": "websocket"}, http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.URL()+tunnelPath, nil)
			must(t, err)
			for k, v := range c.header {
				req.Header.Set(k, v)
			}
			resp, err := http.DefaultClient.Do(req)
			must(t, err)
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != c.code {
				t.Errorf("%s %s, want %d", resp.Status, body, c.code)
			}
		})
	}
}

func TestSettingsOfTheBus(t *testing.T) {
	t.Parallel()
	for says, c := range map[string]Config{
		"set both or none":    {NATSTLSCertFile: "x"},
		"leave out one":       {NATSTLSCertFile: "x", NATSTLSKeyFile: "y", NATSTLS: "off"},
		"names another":       {NATSTLSCertFile: "x", NATSTLSKeyFile: "y", NATSURL: "nats://n"},
		"does not begin with": {NATSPublicURLs: "http://n"},
	} {
		faults := c.checkBus()
		if len(faults) != 1 || !strings.Contains(faults[0].Error(), says) {
			t.Errorf("%v, want %q", faults, says)
		}
	}
}
