package forgetest_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/nixfleet/nixfleet/forge/forgetest"
)

const secret = "s3cret"

// inbox is the App's side of the webhook.
type inbox struct {
	url string
	mu  sync.Mutex
	got []hook
}

type hook struct {
	event, guid string
	header      http.Header
	body        map[string]any
}

func (h hook) name() string {
	if action, ok := h.body["action"].(string); ok {
		return h.event + "." + action
	}
	return h.event
}

func newInbox(t *testing.T) *inbox {
	t.Helper()
	in := &inbox{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read webhook: %v", err)
		}
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(raw)
		if want := "sha256=" + hex.EncodeToString(mac.Sum(nil)); r.Header.Get("X-Hub-Signature-256") != want {
			t.Errorf("signature %q, want %q", r.Header.Get("X-Hub-Signature-256"), want)
		}
		h := hook{event: r.Header.Get("X-GitHub-Event"), guid: r.Header.Get("X-GitHub-Delivery"), header: r.Header}
		if err := json.Unmarshal(raw, &h.body); err != nil {
			t.Errorf("webhook is not JSON: %v", err)
		}
		in.mu.Lock()
		defer in.mu.Unlock()
		in.got = append(in.got, h)
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(server.Close)
	in.url = server.URL
	return in
}

// names waits for the webhooks made so far, and forgets them.
func (in *inbox) take(t *testing.T, s *forgetest.Server) []hook {
	t.Helper()
	check(t, s.WaitDelivered(deadline(t)))
	in.mu.Lock()
	defer in.mu.Unlock()
	got := in.got
	in.got = nil
	return got
}

func names(hooks []hook) string {
	var list []string
	for _, h := range hooks {
		list = append(list, h.name())
	}
	return strings.Join(list, " ")
}
