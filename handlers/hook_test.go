package handlers

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
)

const secret = "It's a Secret to Everybody"

// memory is an Inbox without a database.
type memory struct {
	mu     sync.Mutex
	stored map[string]Delivery
	err    error
	slow   bool
}

func (m *memory) StoreDelivery(ctx context.Context, d Delivery) (bool, error) {
	if m.slow {
		<-ctx.Done()
		return false, ctx.Err()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return false, m.err
	}
	key := fmt.Sprint(d.HookID, "/", d.GUID)
	if _, ok := m.stored[key]; ok {
		return false, nil
	}
	if m.stored == nil {
		m.stored = map[string]Delivery{}
	}
	m.stored[key] = d
	return true, nil
}

var testTime = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func newHook(t testing.TB, inbox Inbox, secrets ...string) http.Handler {
	t.Helper()
	if len(secrets) == 0 {
		secrets = []string{secret}
	}
	h, err := New(Config{Inbox: inbox, Secrets: secrets, Now: func() time.Time { return testTime }, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func sign(h func() hash.Hash, prefix, secret, body string) string {
	mac := hmac.New(h, []byte(secret))
	mac.Write([]byte(body))
	return prefix + "=" + hex.EncodeToString(mac.Sum(nil))
}

// delivery is a request as GitHub makes it; edit may spoil it.
func delivery(event, body string, edit func(*http.Request)) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/api/github/hook", strings.NewReader(body))
	for k, v := range map[string]string{
		"Content-Type":                           "application/json",
		"User-Agent":                             "GitHub-Hookshot/044aadd",
		"X-GitHub-Event":                         event,
		"X-GitHub-Delivery":                      "72d3162e-cc78-11e3-81ab-4c9367dc0958",
		"X-GitHub-Hook-ID":                       "292430182",
		"X-Hub-Signature-256":                    sign(sha256.New, "sha256", secret, body),
		"X-Hub-Signature":                        sign(sha1.New, "sha1", secret, body),
		"X-GitHub-Hook-Installation-Target-ID":   "79929171",
		"X-GitHub-Hook-Installation-Target-Type": "integration",
		"X-Github-Encoded-Secret":                "c2VjcmV0",
		"Cookie":                                 "session=1",
		"Authorization":                          "Bearer proxy",
	} {
		r.Header.Set(k, v)
	}
	if edit != nil {
		edit(r)
	}
	return r
}

func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestHookStoresWhatNamesADelivery(t *testing.T) {
	t.Parallel()
	inbox := &memory{}
	body := `{"action":"opened","number":1}`
	w := serve(newHook(t, inbox), delivery("pull_request", body, nil))
	if w.Code != http.StatusAccepted || w.Body.String() != "stored\n" {
		t.Fatalf("answer = %d %q, want 202 stored", w.Code, w.Body)
	}
	want := map[string]Delivery{"292430182/72d3162e-cc78-11e3-81ab-4c9367dc0958": {
		HookID: 292430182, GUID: "72d3162e-cc78-11e3-81ab-4c9367dc0958",
		Event: "pull_request", Action: "opened", Payload: []byte(body), ReceivedAt: testTime,
		Headers: map[string]string{
			"Content-Type":                           "application/json",
			"User-Agent":                             "GitHub-Hookshot/044aadd",
			"X-GitHub-Delivery":                      "72d3162e-cc78-11e3-81ab-4c9367dc0958",
			"X-GitHub-Event":                         "pull_request",
			"X-GitHub-Hook-ID":                       "292430182",
			"X-GitHub-Hook-Installation-Target-ID":   "79929171",
			"X-GitHub-Hook-Installation-Target-Type": "integration",
		},
	}}
	if d := cmp.Diff(want, inbox.stored); d != "" {
		t.Errorf("stored (-want +got):\n%s", d)
	}
}

func TestHookStoresEventsItDoesNotKnow(t *testing.T) {
	t.Parallel()
	inbox := &memory{}
	if w := serve(newHook(t, inbox), delivery("dolphin_sighted", `{"n":1}`, nil)); w.Code != http.StatusAccepted {
		t.Fatalf("answer = %d %s, want 202", w.Code, w.Body)
	}
	for _, d := range inbox.stored {
		if d.Event != "dolphin_sighted" || d.Headers["X-GitHub-Event"] != "dolphin_sighted" {
			t.Errorf("stored as %q, header %q; want its own name", d.Event, d.Headers["X-GitHub-Event"])
		}
	}
	if len(inbox.stored) != 1 {
		t.Errorf("stored %d deliveries, want 1", len(inbox.stored))
	}
}

func TestHookKeepsRepeatsApart(t *testing.T) {
	t.Parallel()
	inbox := &memory{}
	h := newHook(t, inbox)
	otherHook := func(r *http.Request) { r.Header.Set("X-GitHub-Hook-ID", "2") }
	for _, c := range []struct {
		edit func(*http.Request)
		text string
	}{{nil, "stored\n"}, {nil, "stored before\n"}, {otherHook, "stored\n"}} {
		w := serve(h, delivery("push", `{}`, c.edit))
		if w.Code != http.StatusAccepted || w.Body.String() != c.text {
			t.Errorf("answer = %d %q, want 202 %q", w.Code, w.Body, c.text)
		}
	}
	if len(inbox.stored) != 2 {
		t.Errorf("stored %d deliveries, want 2: the same id of two hooks is two deliveries", len(inbox.stored))
	}
}

func TestHookRefuses(t *testing.T) {
	t.Parallel()
	const body = `{"action":"opened"}`
	set := func(k, v string) func(*http.Request) {
		return func(r *http.Request) {
			if v == "" {
				r.Header.Del(k)
				return
			}
			r.Header.Set(k, v)
		}
	}
	for name, c := range map[string]struct {
		edit func(*http.Request)
		code int
		says string
	}{
		"no signature":             {func(r *http.Request) { r.Header.Del("X-Hub-Signature-256"); r.Header.Del("X-Hub-Signature") }, 401, "set a secret"},
		"only a SHA-1 signature":   {set("X-Hub-Signature-256", ""), 401, "SHA-256"},
		"SHA-1 in the new header":  {set("X-Hub-Signature-256", sign(sha1.New, "sha1", secret, body)), 401, "SHA-256"},
		"another secret":           {set("X-Hub-Signature-256", sign(sha256.New, "sha256", "other", body)), 401, "differs"},
		"a signature of nothing":   {set("X-Hub-Signature-256", "sha256="), 401, "differs"},
		"a signature not in hex":   {set("X-Hub-Signature-256", "sha256=zz"), 401, "differs"},
		"another body":             {func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(`{"a":1}`)) }, 401, "differs"},
		"no event":                 {set("X-GitHub-Event", ""), 400, "X-GitHub-Event"},
		"an event that is no word": {set("X-GitHub-Event", "*"), 400, "X-GitHub-Event"},
		"no delivery id":           {set("X-GitHub-Delivery", ""), 400, "X-GitHub-Delivery"},
		"a delivery id with bytes": {set("X-GitHub-Delivery", "a\xffb"), 400, "X-GitHub-Delivery"},
		"a hook id not a number":   {set("X-GitHub-Hook-ID", "x"), 400, "X-GitHub-Hook-ID"},
		"a form":                   {set("Content-Type", "application/x-www-form-urlencoded"), 415, "set the content type of the webhook to application/json"},
		"no content type":          {set("Content-Type", ""), 415, "application/json"},
		"a GET":                    {func(r *http.Request) { r.Method = http.MethodGet }, 405, "POST"},
		"not an object":            {func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(`[]`)) }, 400, "JSON object"},
		"no body":                  {func(r *http.Request) { r.Body = http.NoBody }, 400, "JSON object"},
		"a body that breaks off":   {func(r *http.Request) { r.Body = io.NopCloser(io.MultiReader(strings.NewReader("{"), broken{})) }, 400, "ended early"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inbox := &memory{}
			w := serve(newHook(t, inbox), delivery("pull_request", body, c.edit))
			if w.Code != c.code || !strings.Contains(w.Body.String(), c.says) {
				t.Errorf("answer = %d %q, want %d with %q", w.Code, w.Body, c.code, c.says)
			}
			if len(inbox.stored) != 0 {
				t.Error("stored although refused")
			}
		})
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestHookLimitsTheBody(t *testing.T) {
	t.Parallel()
	const head, tail = `{"action":"x","a":"`, `"}`
	largest := head + strings.Repeat("x", maxPayload-len(head)-len(tail)) + tail
	for name, c := range map[string]struct {
		body    string
		unknown bool // no Content-Length
		code    int
	}{
		"the largest is stored":          {largest, false, 202},
		"one byte more, announced":       {largest + " ", false, 413},
		"one byte more, not announced":   {largest + " ", true, 413},
		"largest, length not announced ": {largest, true, 202},
	} {
		t.Run(name, func(t *testing.T) {
			w := serve(newHook(t, &memory{}), delivery("push", c.body, func(r *http.Request) {
				if c.unknown {
					r.ContentLength = -1
				}
			}))
			if w.Code != c.code {
				t.Errorf("answer = %d %s, want %d", w.Code, w.Body, c.code)
			}
		})
	}
}

func TestHookTakesTwoSecretsDuringARotation(t *testing.T) {
	t.Parallel()
	h := newHook(t, &memory{}, "new secret", secret)
	for _, s := range []string{"new secret", secret} {
		r := delivery("push", `{}`, func(r *http.Request) {
			r.Header.Set("X-Hub-Signature-256", sign(sha256.New, "sha256", s, `{}`))
		})
		if w := serve(h, r); w.Code != http.StatusAccepted {
			t.Errorf("signed with %q: answer = %d %s, want 202", s, w.Code, w.Body)
		}
	}
	r := delivery("push", `{}`, func(r *http.Request) {
		r.Header.Set("X-Hub-Signature-256", sign(sha256.New, "sha256", "older", `{}`))
	})
	if w := serve(h, r); w.Code != http.StatusUnauthorized {
		t.Errorf("signed with a retired secret: answer = %d, want 401", w.Code)
	}
}

func TestNewRefusesToServeWithoutSecrets(t *testing.T) {
	t.Parallel()
	for name, secrets := range map[string][]string{
		"none": nil, "empty": {""}, "blank": {" \n"}, "second empty": {secret, ""}, "three": {"a", "b", "c"},
	} {
		if _, err := New(Config{Inbox: &memory{}, Secrets: secrets, Now: time.Now}); err == nil {
			t.Errorf("%s: no error; unsigned events would be accepted", name)
		}
	}
	if _, err := New(Config{Secrets: []string{secret}, Now: time.Now}); err == nil {
		t.Error("no inbox: no error")
	}
}

func TestHookSays503WhenTheInboxFails(t *testing.T) {
	t.Parallel()
	var logged bytes.Buffer
	h, err := New(Config{
		Inbox: &memory{err: errors.New("connection refused")}, Secrets: []string{secret},
		Now: time.Now, Log: zerolog.New(&logged),
	})
	if err != nil {
		t.Fatal(err)
	}
	w := serve(h, delivery("push", `{}`, nil))
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("answer = %d, Retry-After %q; want 503 with a time", w.Code, w.Header().Get("Retry-After"))
	}
	if strings.Contains(w.Body.String(), "connection refused") {
		t.Error("the answer tells strangers about the database")
	}
	if n := strings.Count(logged.String(), "connection refused"); n != 1 {
		t.Errorf("the reason was logged %d times, want once:\n%s", n, &logged)
	}
}

func TestHookGivesASlowInboxTwoSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHook(t, &memory{slow: true})
		start := time.Now()
		if w := serve(h, delivery("push", `{}`, nil)); w.Code != http.StatusServiceUnavailable {
			t.Errorf("answer = %d, want 503", w.Code)
		}
		if took := time.Since(start); took != storeBudget {
			t.Errorf("answered after %v, want %v", took, storeBudget)
		}
	})
}

func TestActionOfLooksOnlyWhereGitHubPutsIt(t *testing.T) {
	t.Parallel()
	for payload, want := range map[string]string{
		`{"action":"opened"}`:                           "opened",
		`{"a":{"action":"inner"},"action":"closed"}`:    "closed",
		`{"a":1,"b":2,"c":3,"d":4,"action":"too late"}`: "",
		`{"action":"\u0000"}`:                           "",
		`{"action":7}`:                                  "",
		`{"action":"` + strings.Repeat("a", 65) + `"}`:  "",
		`{}`: "", ``: "", `[`: "", `{"action"`: "", `{"a":`: "",
	} {
		if got := actionOf([]byte(payload)); got != want {
			t.Errorf("actionOf(%.60s) = %q, want %q", payload, got, want)
		}
	}
}
