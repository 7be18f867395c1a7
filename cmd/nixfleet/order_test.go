package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// orderServer answers as a server with two hosts does, and keeps what was sent.
type orderServer struct {
	mu   sync.Mutex
	sent []string // method, path and body
}

func newOrderServer(t *testing.T, patterns map[string]string) (*orderServer, []string) {
	t.Helper()
	s := &orderServer{}
	mux := http.NewServeMux()
	for pattern, body := range patterns {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			s.note(t, r)
			_, _ = w.Write([]byte(body))
		})
	}
	mux.HandleFunc("POST /api/v1/orders", func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Kind    string
			Confirm []string
		}
		text := s.note(t, r)
		if err := json.Unmarshal([]byte(text), &body); err != nil {
			t.Error(err)
		}
		if body.Kind == "reboot" && len(body.Confirm) == 0 {
			w.WriteHeader(http.StatusConflict)
			_, _ = w.Write([]byte(`{"detail":"This restarts 2 hosts.","errors":[
				{"location":"body.confirm","message":"would restart","value":"web1"},
				{"location":"body.confirm","message":"would restart","value":"web2"}]}`))
			return
		}
		_, _ = w.Write([]byte(`{"orders":[{"host":"web1","order":"01JAAAAAAAAAAAAAAAAAAAAAA1","online":true,"found":"Sent."},
			{"host":"web2","order":"01JAAAAAAAAAAAAAAAAAAAAAA2","found":"The host is offline; the order waits for it until 18:00 UTC."}]}`))
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return s, []string{"--server", server.URL, "--token", "t"}
}

func (s *orderServer) note(t *testing.T, r *http.Request) (body string) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = append(s.sent, r.Method+" "+r.URL.String()+" "+string(text))
	if r.Method == http.MethodPost && r.URL.Path == "/api/v1/orders" {
		if r.Header.Get("Idempotency-Key") == "" {
			t.Error("an order without a key can't be repeated")
		}
	}
	return string(text)
}

func TestAnOrderIsGivenAndTold(t *testing.T) {
	t.Parallel()
	s, at := newOrderServer(t, nil)
	out, errOut, code := nixfleet(append([]string{"order", "rollback", "web1", "--generation", "7", "--reason", "broken"}, at...)...)
	want := `HOST  ORDER                       NOW
web1  01JAAAAAAAAAAAAAAAAAAAAAA1  Sent.
web2  01JAAAAAAAAAAAAAAAAAAAAAA2  The host is offline; the order waits for it until 18:00 UTC.
`
	if code != 0 || out != want {
		t.Errorf("exit %d (%s), printed:\n%s\nwant:\n%s", code, errOut, out, want)
	}
	if want := `POST /api/v1/orders {"kind":"rollback","hosts":"web1","generation":7,"reason":"broken"}`; s.sent[0] != want {
		t.Errorf("sent %s\nwant %s", s.sent[0], want)
	}
	out, _, code = nixfleet(append([]string{"order", "pull", "all", "--json"}, at...)...)
	if code != 0 || !strings.HasPrefix(out, `{"orders":[{"host":"web1"`) {
		t.Errorf("exit %d, printed %s", code, out)
	}
}

// Nobody restarts a fleet by pressing enter twice.
func TestARebootIsConfirmedTwice(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		typed string
		args  []string
		gone  bool
	}{
		"yes and the number":  {"y\n2\n", nil, true},
		"yes and enter":       {"y\n\n", nil, false},
		"yes twice":           {"y\ny\n", nil, false},
		"no":                  {"n\n2\n", nil, false},
		"nobody there":        {"", nil, false},
		"the first by a flag": {"2\n", []string{"--yes"}, true},
		"a flag alone":        {"", []string{"--yes"}, false},
		"named":               {"", []string{"--confirm", "web1,web2"}, true},
	} {
		s, at := newOrderServer(t, nil)
		out, errOut, code := nixfleetAsked(tt.typed, append(append([]string{"order", "reboot", "tag:web"}, tt.args...), at...)...)
		last := s.sent[len(s.sent)-1]
		if gone := strings.Contains(last, `"confirm":["web1","web2"]`); gone != tt.gone || (code == 0) != tt.gone {
			t.Errorf("%s: exit %d, sent %s, printed %s%s", name, code, last, out, errOut)
		}
		if !tt.gone && !strings.Contains(errOut, "nothing was ordered") {
			t.Errorf("%s: said %q", name, errOut)
		}
		if !strings.Contains(name, "named") && !strings.Contains(out, "These hosts restart, with all that runs on them:\n  web1 web2\n") {
			t.Errorf("%s: asked with\n%s", name, out)
		}
	}
}

func TestWaitingForOrders(t *testing.T) {
	t.Parallel()
	_, at := newOrderServer(t, map[string]string{
		"GET /api/v1/orders/01JAAAAAAAAAAAAAAAAAAAAAA1": `{"id":"01JAAAAAAAAAAAAAAAAAAAAAA1","host":"web1","state":"healthy","ended":true,"note":"already built"}`,
		"GET /api/v1/orders/01JAAAAAAAAAAAAAAAAAAAAAA2": `{"id":"01JAAAAAAAAAAAAAAAAAAAAAA2","host":"web2","state":"failed","ended":true,
			"failure":{"step":"building","code":"build_failed","message":"the build failed\u001b[2J","exit_code":1}}`,
	})
	out, errOut, code := nixfleet(append([]string{"order", "switch", "all", "--wait"}, at...)...)
	for _, want := range []string{"web1: healthy (already built)\n", "web2: failed at building: the build failed [2J (exit code 1)\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("printed\n%s\nwant %q in it", out, want)
		}
	}
	if code != 1 || !strings.Contains(errOut, "1 of 2 orders did not end well") {
		t.Errorf("exit %d, said %q", code, errOut)
	}
	out, _, code = nixfleet(append([]string{"order", "switch", "all", "--wait", "--json"}, at...)...)
	var got struct{ Orders []struct{ State string } }
	if err := json.Unmarshal([]byte(out), &got); err != nil || len(got.Orders) != 2 || code != 1 {
		t.Errorf("exit %d, printed %s: %v", code, out, err)
	}
}

func TestCancelTellsOrdersFromHosts(t *testing.T) {
	t.Parallel()
	s, at := newOrderServer(t, map[string]string{
		"POST /api/v1/orders/01JAAAAAAAAAAAAAAAAAAAAAA1/cancel": `{"orders":[{"host":"web1","order":"01JAAAAAAAAAAAAAAAAAAAAAA3","found":"Sent."}]}`,
	})
	for _, what := range []string{"01JAAAAAAAAAAAAAAAAAAAAAA1", "web1"} {
		if _, errOut, code := nixfleet(append([]string{"cancel", what, "--reason", "wrong"}, at...)...); code != 0 {
			t.Errorf("%s: exit %d, said %q", what, code, errOut)
		}
	}
	want := []string{
		`POST /api/v1/orders/01JAAAAAAAAAAAAAAAAAAAAAA1/cancel {"reason":"wrong"}`,
		`POST /api/v1/orders {"kind":"cancel","hosts":"web1","reason":"wrong"}`,
	}
	if strings.Join(s.sent, "\n") != strings.Join(want, "\n") {
		t.Errorf("sent\n%s", strings.Join(s.sent, "\n"))
	}
}

func TestOrdersAreATable(t *testing.T) {
	t.Parallel()
	list := `{"orders":[{"id":"01JAAAAAAAAAAAAAAAAAAAAAA1","host":"web1","kind":"deploy","state":"failed","commit":"0123456789abcdef","actor":"ada",
		"issued_at":"2026-11-23T10:00:00Z","failure":{"message":"the build failed, which is a sentence that is too long for a terminal"}}]}`
	s, at := newOrderServer(t, map[string]string{"GET /api/v1/hosts/web1/orders": list, "GET /api/v1/orders": `{"orders":[]}`})
	out, _, code := nixfleet(append([]string{"orders", "web1", "--limit", "5"}, at...)...)
	want := `ORDER                       HOST  KIND    STATE   COMMIT   ISSUED            BY   NOTE
01JAAAAAAAAAAAAAAAAAAAAAA1  web1  deploy  failed  0123456  2026-11-23 10:00  ada  the build failed, which is a sentence that is too long for a terminal
`
	if code != 0 || out != want || !strings.HasPrefix(s.sent[0], "GET /api/v1/hosts/web1/orders?limit=5") {
		t.Errorf("exit %d, asked %s, printed:\n%s\nwant:\n%s", code, s.sent[0], out, want)
	}
	if out, _, _ := nixfleet(append([]string{"orders"}, at...)...); out != "No orders yet.\n" {
		t.Errorf("printed %q", out)
	}
}

const shownHost = `{"name":"web1","attr":"nixosConfigurations.web1","repo":"octo/fleet","mode":"automatic","tags":["canary","web"],"online":true,"enrolled":true,
	"last_seen":"2026-11-23T10:00:00Z","platform":"nixos","step":"building","order":"01JAAAAAAAAAAAAAAAAAAAAAA1",
	"compartments":[{"id":"git","label":"1 behind"},{"id":"system","label":"Current","badge":"restart needed"}],
	"facts":{"agent_version":"0.4.0","checkout_commit":"0123456789abcdef","running_commit":"fedcba9876543210","running_path":"/nix/store/x-nixos",
		"booted_path":"/nix/store/w-nixos","reboot_needed":true,"load1":0.5,"memory_total":4294967296,"memory_used":1073741824,
		"store_total":107374182400,"store_free":53687091200,"failed_units":["nginx.service"],"errors":{"fetch":"no route to host"}},
	"open_orders":[{"id":"01JAAAAAAAAAAAAAAAAAAAAAA1","host":"web1","kind":"pull","state":"ordered","actor":"ada","issued_at":"2026-11-23T10:00:00Z"}]}`

func TestAHostIsShown(t *testing.T) {
	t.Parallel()
	_, at := newOrderServer(t, map[string]string{"GET /api/v1/hosts/web1": shownHost})
	out, errOut, code := nixfleet(append([]string{"host", "show", "web1"}, at...)...)
	want := `web1
  attribute   nixosConfigurations.web1
  repository  octo/fleet
  mode        automatic
  tags        canary web
  presence    online, last seen 2026-11-23 10:00 UTC
  agent       0.4.0
  git         1 behind
  system      Current, restart needed
  checkout    0123456
  runs        fedcba9 /nix/store/x-nixos
  reboot      needed; booted into /nix/store/w-nixos
  load        0.50, memory 1024 of 4096 MiB, store 50 of 100 GiB free
  failed      nginx.service
  fetch failed no route to host
  doing       building for order 01JAAAAAAAAAAAAAAAAAAAAAA1

Open orders, taken up one after the other:
ORDER                       HOST  KIND  STATE    COMMIT  ISSUED            BY   NOTE
01JAAAAAAAAAAAAAAAAAAAAAA1  web1  pull  ordered          2026-11-23 10:00  ada
`
	if code != 0 || out != want {
		t.Errorf("exit %d (%s), printed:\n%s\nwant:\n%s", code, errOut, out, want)
	}
}

func TestAHostIsChanged(t *testing.T) {
	t.Parallel()
	s, at := newOrderServer(t, map[string]string{"PATCH /api/v1/hosts/web1": shownHost})
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--mode", "automatic"}, `{"mode":"automatic"}`},
		{[]string{"--tags", "canary,web"}, `{"tags":["canary","web"]}`},
		{[]string{"--tags", ""}, `{"tags":[]}`},
		{[]string{"--attr", "nixosConfigurations.web1"}, `{"attr":"nixosConfigurations.web1"}`},
	} {
		out, errOut, code := nixfleet(append(append([]string{"host", "set", "web1"}, tt.args...), at...)...)
		if got := s.sent[len(s.sent)-1]; code != 0 || got != "PATCH /api/v1/hosts/web1 "+tt.want {
			t.Errorf("%v: exit %d (%s), sent %s", tt.args, code, errOut, got)
		}
		if out != "web1: mode automatic, tags [canary web], nixosConfigurations.web1\n" {
			t.Errorf("printed %q", out)
		}
	}
	if _, errOut, code := nixfleet(append([]string{"host", "set", "web1"}, at...)...); code != 2 || !strings.Contains(errOut, "nothing to change") {
		t.Errorf("exit %d, said %q", code, errOut)
	}
	if _, _, code := nixfleet(append([]string{"host", "set", "web1", "--mode", "loud"}, at...)...); code != 2 {
		t.Errorf("a mode that there is not: exit %d", code)
	}
}

func TestGenerationsAreATable(t *testing.T) {
	t.Parallel()
	_, at := newOrderServer(t, map[string]string{
		"GET /api/v1/hosts/web1/generations": `{"generations":[
			{"number":12,"path":"/nix/store/b-nixos","commit":"0123456789abcdef","at":"2026-11-23T10:00:00Z","running":true,"booted":true},
			{"number":9,"path":"/nix/store/a-nixos","at":"2026-11-20T10:00:00Z"}]}`,
		"GET /api/v1/hosts/web2/generations": `{"generations":[]}`,
	})
	out, _, code := nixfleet(append([]string{"generations", "web1"}, at...)...)
	want := `NUMBER  SINCE             COMMIT   IS              PATH
12      2026-11-23 10:00  0123456  running,booted  /nix/store/b-nixos
9       2026-11-20 10:00                           /nix/store/a-nixos
`
	if code != 0 || out != want {
		t.Errorf("exit %d, printed:\n%s\nwant:\n%s", code, out, want)
	}
	if out, _, _ := nixfleet(append([]string{"generations", "web2"}, at...)...); !strings.Contains(out, "nixfleet order refresh web2") {
		t.Errorf("printed %q", out)
	}
}
