package app

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/db/dbtest"
)

// examples are GitHub's own example payloads, where this checkout has them.
const examples = "../../shared/github/webhooks"

// webhook is a delivery on its way to the server; edit may spoil it.
type webhook struct {
	event, guid string
	body        []byte
	signature   string // made where it is empty
	edit        func(*http.Request)
}

// sign signs a payload as GitHub does.
func sign(body []byte) string {
	mac := hmac.New(sha256.New, []byte(webhookSecret))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// send posts a webhook as GitHub does and returns the answer.
func (h webhook) send(ctx context.Context, client *http.Client, url string) (*http.Response, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/api/github/hook", bytes.NewReader(h.body))
	if err != nil {
		return nil, "", err
	}
	if h.signature == "" {
		h.signature = sign(h.body)
	}
	for k, v := range map[string]string{
		"Content-Type": "application/json", "User-Agent": "GitHub-Hookshot/044aadd", "X-GitHub-Hook-ID": "292430182",
		"X-GitHub-Event": h.event, "X-GitHub-Delivery": h.guid,
		"X-Hub-Signature-256": h.signature,
	} {
		req.Header.Set(k, v)
	}
	if h.edit != nil {
		h.edit(req)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, "", err
	}
	text, err := io.ReadAll(resp.Body)
	return resp, string(text), errors.Join(err, resp.Body.Close())
}

func (r *replica) deliver(t *testing.T, h webhook) (*http.Response, string) {
	t.Helper()
	resp, text, err := h.send(t.Context(), http.DefaultClient, r.url)
	must(t, err)
	return resp, text
}

// stored claims everything that is in the inbox and not worked on.
func (r *replica) stored(t *testing.T) []db.Delivery {
	t.Helper()
	list, err := r.db.ClaimDeliveries(t.Context(), r.clock.now(), lease, 1000)
	must(t, err)
	return list
}

// empty works on the inbox until it is empty and returns how much there was.
func (r *replica) empty(t *testing.T) (total int) {
	t.Helper()
	for {
		n, err := r.workInbox(t.Context())
		must(t, err)
		if n == 0 {
			return total
		}
		total += n
	}
}

// githubExamples reads GitHub's example of every event.
func githubExamples(t testing.TB) []webhook {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(examples, "*.json"))
	must(t, err)
	if _, err := os.Stat(examples); errors.Is(err, fs.ErrNotExist) {
		t.Skipf("SKIPPED: GitHub's example payloads are not at %s, so the hook was not tried with them", examples)
	}
	list := make([]webhook, 0, len(files))
	for _, file := range files {
		body, err := os.ReadFile(file)
		must(t, err)
		event, _, _ := strings.Cut(filepath.Base(file), ".")
		list = append(list, webhook{event: event, guid: filepath.Base(file), body: body})
	}
	if len(list) < 50 {
		t.Fatalf("%d payloads in %s, want all", len(list), examples)
	}
	return list
}

// GitHub delivers at least once and two replicas may get the same delivery at the
// same time, so each is posted twice at once.
func TestEveryPayloadOfGitHubIsStoredOnceAndUnderstood(t *testing.T) {
	t.Parallel()
	list := githubExamples(t)
	r := newReplica(t, dbtest.New(t))
	want := map[string]string{}
	for _, h := range list {
		want[h.guid] = h.event + " " + string(h.body)
		answers := make(chan string, 2)
		for range cap(answers) {
			go func() {
				resp, text, err := h.send(t.Context(), http.DefaultClient, r.url)
				if err != nil {
					answers <- err.Error()
					return
				}
				answers <- fmt.Sprint(resp.StatusCode, " ", text)
			}()
		}
		got := map[string]bool{<-answers: true, <-answers: true}
		if !got["202 stored\n"] || !got["202 stored before\n"] {
			t.Errorf("%s: answers %v, want it stored once and recognised once", h.guid, got)
		}
	}
	got := map[string]string{}
	for _, d := range r.stored(t) {
		if _, twice := got[d.GUID]; twice {
			t.Errorf("%s: two rows", d.GUID)
		}
		got[d.GUID] = d.Event + " " + string(d.Payload)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("stored (-want +got):\n%s", diff)
	}

	r.clock.forward(lease) // as if whoever claimed them above had died
	if n := r.empty(t); n != len(list) {
		t.Errorf("%d deliveries were worked on, want %d", n, len(list))
	}
	if said := r.log.String(); said != "" {
		t.Errorf("payloads of GitHub's own were not understood:\n%s", said)
	}
	updates, err := r.db.ClaimUpdates(t.Context(), r.clock.now(), lease, 100)
	must(t, err)
	if len(updates) == 0 {
		t.Error("no update is due after events about pull requests")
	}
	if again, text := r.deliver(t, list[0]); again.StatusCode != http.StatusAccepted || text != "stored before\n" {
		t.Errorf("redelivered after it was worked on: %d %q", again.StatusCode, text)
	}
	r.clock.forward(time.Hour)
	if n := r.empty(t); n != 0 {
		t.Errorf("%d deliveries were worked on twice", n)
	}
}

func TestAnUnreadablePayloadIsSetAside(t *testing.T) {
	t.Parallel()
	r := newReplica(t, dbtest.New(t))
	bad := webhook{event: "pull_request", guid: "bad", body: []byte(`{"action":"opened","number":`)}
	good := webhook{event: "ping", guid: "good", body: []byte(`{"zen":"x"}`)}
	for _, h := range []webhook{bad, good} {
		if resp, text := r.deliver(t, h); resp.StatusCode != http.StatusAccepted {
			t.Fatalf("%s: %d %s", h.guid, resp.StatusCode, text)
		}
	}
	if n := r.empty(t); n != 2 || r.log.lines() != 1 || !strings.Contains(r.log.String(), "payload not understood") {
		t.Errorf("worked on %d, want both and one remark; got:\n%s", n, r.log)
	}
	r.clock.forward(time.Hour)
	if n := r.empty(t); n != 0 {
		t.Errorf("%d were tried again; a payload does not get better", n)
	}
}

func TestWithoutADatabaseNothingIsClaimedToBeStored(t *testing.T) {
	t.Parallel()
	address := dbtest.Server(t)
	d, err := db.Open(t.Context(), db.Options{URL: address})
	must(t, err)
	r := newReplica(t, d)
	h := webhook{event: "push", guid: "a", body: []byte(`{"ref":"refs/heads/main"}`)}
	d.Close()
	resp, text := r.deliver(t, h)
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || !strings.HasPrefix(text, "not stored") {
		t.Errorf("answer %d %v %q, want 503, when to try again, and that it was not stored", resp.StatusCode, resp.Header, text)
	}
	if !strings.Contains(r.log.String(), "webhook not stored") {
		t.Errorf("the log does not say so:\n%s", r.log)
	}

	d, err = db.Open(t.Context(), db.Options{URL: address})
	must(t, err)
	t.Cleanup(d.Close)
	back := newReplica(t, d)
	if n := len(back.stored(t)); n != 0 {
		t.Errorf("%d rows are there after 503", n)
	}
	if resp, text := back.deliver(t, h); resp.StatusCode != http.StatusAccepted || text != "stored\n" {
		t.Errorf("redelivered: %d %q, want it to be new", resp.StatusCode, text)
	}
}

func TestWhatIsRefusedLeavesNoRow(t *testing.T) {
	t.Parallel()
	r := newReplica(t, dbtest.New(t))
	small, large := []byte(`{"action":"opened"}`), append([]byte(`{`), bytes.Repeat([]byte(" "), 25<<20)...)
	sha1Only := func(q *http.Request) {
		mac := hmac.New(sha1.New, []byte(webhookSecret))
		mac.Write(small)
		q.Header.Set("X-Hub-Signature", "sha1="+hex.EncodeToString(mac.Sum(nil)))
		q.Header.Del("X-Hub-Signature-256")
	}
	for name, tt := range map[string]struct {
		body []byte
		edit func(*http.Request)
		code int
		text string
	}{
		"larger than GitHub delivers": {large, nil, http.StatusRequestEntityTooLarge, "25 MB"},
		"large, and does not say so":  {large, func(q *http.Request) { q.ContentLength = -1 }, http.StatusRequestEntityTooLarge, "25 MB"},
		"signed with SHA-1 only":      {small, sha1Only, http.StatusUnauthorized, "SHA-256"},
		"not signed":                  {small, func(q *http.Request) { q.Header.Del("X-Hub-Signature-256") }, http.StatusUnauthorized, "set a secret"},
		"signed with another secret":  {small, func(q *http.Request) { q.Header.Set("X-Hub-Signature-256", "sha256="+strings.Repeat("0", 64)) }, http.StatusUnauthorized, "does not match"},
		"SHA-1 in the place of SHA-256": {small, func(q *http.Request) {
			sha1Only(q)
			q.Header.Set("X-Hub-Signature-256", q.Header.Get("X-Hub-Signature"))
		}, http.StatusUnauthorized, "SHA-256"},
		"a form, as old webhooks are":     {small, func(q *http.Request) { q.Header.Set("Content-Type", "application/x-www-form-urlencoded") }, http.StatusUnsupportedMediaType, "application/json"},
		"fetched":                         {nil, func(q *http.Request) { q.Method = http.MethodGet }, http.StatusMethodNotAllowed, "POST"},
		"an id that is not a delivery id": {small, func(q *http.Request) { q.Header.Set("X-GitHub-Delivery", strings.Repeat("x", 200)) }, http.StatusBadRequest, "X-GitHub-Delivery"},
	} {
		t.Run(name, func(t *testing.T) {
			resp, text := r.deliver(t, webhook{event: "pull_request", guid: "g", body: tt.body, edit: tt.edit})
			if resp.StatusCode != tt.code || !strings.Contains(text, tt.text) {
				t.Errorf("answer %d %q, want %d with %q", resp.StatusCode, text, tt.code, tt.text)
			}
			if strings.HasPrefix(text, "stored") {
				t.Errorf("claims that it was stored: %q", text)
			}
		})
	}
	if n := len(r.stored(t)); n != 0 {
		t.Errorf("%d refused deliveries were stored", n)
	}
	if strings.Contains(r.log.String(), webhookSecret) {
		t.Error("the log holds the secret")
	}
}
