package app

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/db/dbtest"
)

// mutants are how many spoilt copies are sent of each payload.
const mutants = 3

// Whatever is signed goes in at the door, through the inbox and the interpreter
// into Postgres: GitHub's examples, and copies with values that nobody expects. The
// server stores all that is an object, takes in what can be understood, and is well
// afterwards. -run with another seed is a change of the constant.
func TestHostilePayloadsGoThroughTheWholePath(t *testing.T) {
	t.Parallel()
	r := newReplica(t, dbtest.New(t))
	rng := rand.New(rand.NewPCG(7, 11))
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	sent := 0
	send := func(event string, body []byte) {
		sent++
		h := webhook{event: event, guid: fmt.Sprintf("%d", sent), body: body}
		resp, text, err := h.send(t.Context(), client, r.url)
		must(t, err)
		want := http.StatusAccepted
		if body[0] != '{' { // GitHub sends objects; nothing else is stored
			want = http.StatusBadRequest
		}
		if resp.StatusCode != want {
			t.Errorf("%s: answer %d %q to\n%.300s", event, resp.StatusCode, text, body)
		}
	}
	for _, file := range payloads(t) {
		body, err := os.ReadFile(file)
		must(t, err)
		event, _, _ := strings.Cut(filepath.Base(file), ".")
		send(event, body)
		for range mutants {
			var v any
			must(t, json.Unmarshal(body, &v))
			for range 1 + rng.IntN(4) {
				v = spoil(rng, v)
			}
			spoilt, err := json.Marshal(v)
			must(t, err)
			send(event, spoilt)
		}
	}
	r.turnInbox(t)
	if _, err := r.db.Overview(t.Context(), r.clock.now()); err != nil {
		t.Errorf("afterwards nothing can be shown: %v", err)
	}
	for line := range strings.Lines(r.log.String()) {
		if strings.Contains(line, "panic") || strings.Contains(line, "tried again later") {
			t.Errorf("a payload could not be worked on: %s", line)
		}
	}
	// Real news still gets through.
	send("pull_request", []byte(`{"action":"opened","pull_request":{"number":7},"repository":{"id":77,"name":"r","default_branch":"main","owner":{"login":"o"}},"installation":{"id":3}}`))
	r.clock.forward(time.Minute)
	r.turnInbox(t)
	if _, err := r.db.UpdateByNumber(t.Context(), 77, 7); err != nil {
		t.Errorf("after %d payloads an honest one is not taken in: %v", sent, err)
	}
}

func FuzzWebhookPath(f *testing.F) {
	r := newReplica(f, dbtest.New(f))
	for _, file := range payloads(f) {
		body, err := os.ReadFile(file)
		must(f, err)
		event, _, _ := strings.Cut(filepath.Base(file), ".")
		f.Add(event, body)
	}
	n := 0
	f.Fuzz(func(t *testing.T, event string, body []byte) {
		n++
		if len(event) > 100 || strings.ContainsFunc(event, func(c rune) bool { return c < '!' || c > '~' }) {
			t.Skip("no header can say that")
		}
		client := &http.Client{}
		resp, text, err := webhook{event: event, guid: fmt.Sprint(n), body: body}.send(t.Context(), client, r.url)
		must(t, err)
		if resp.StatusCode >= http.StatusInternalServerError {
			t.Fatalf("answer %d %q", resp.StatusCode, text)
		}
		r.turnInbox(t)
		if log := r.log.String(); strings.Contains(log, "panic") || strings.Contains(log, "tried again later") {
			t.Fatal(log)
		}
	})
}

// payloads are the files of GitHub's examples: those in the tree, and all others
// where this checkout has them.
func payloads(t testing.TB) []string {
	t.Helper()
	var files []string
	for _, dir := range []string{"../handlers/testdata", examples} {
		list, err := filepath.Glob(filepath.Join(dir, "*.json"))
		must(t, err)
		files = append(files, list...)
	}
	if len(files) == 0 {
		t.Fatal("no payloads to send")
	}
	return files
}

// turnInbox works until nothing is due.
func (r *replica) turnInbox(t testing.TB) {
	t.Helper()
	for n := 1; n > 0; {
		var err error
		n, err = r.workInbox(t.Context())
		must(t, err)
	}
}

// spoil changes one value of a payload, somewhere, to one that GitHub never sends.
func spoil(rng *rand.Rand, v any) any {
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 0 || rng.IntN(12) == 0 {
			return hostile(rng)
		}
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		k := keys[rng.IntN(len(keys))]
		if rng.IntN(12) == 0 {
			delete(v, k)
			return v
		}
		v[k] = spoil(rng, v[k])
		return v
	case []any:
		if len(v) == 0 || rng.IntN(6) == 0 {
			return hostile(rng)
		}
		i := rng.IntN(len(v))
		v[i] = spoil(rng, v[i])
		return v
	}
	return hostile(rng)
}

func hostile(rng *rand.Rand) any {
	values := []any{
		nil, true, -1, 0, 1e308, json.Number("9223372036854775807"), json.Number("9223372036854775808"), json.Number("-9223372036854775808"), 0.5,
		"", "\x00", "\u202e\x1b[2J", "../../etc/passwd", "' or 1=1; --", "<script>alert(1)</script>", strings.Repeat("é", 5000), "\xff\xfe",
		strings.Repeat("a", 40), strings.Repeat("0", 40), "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z",
		[]any{}, map[string]any{}, []any{map[string]any{"id": -5}}, map[string]any{"login": map[string]any{"id": "x"}}, nested(200),
	}
	return values[rng.IntN(len(values))]
}

func nested(depth int) any {
	var v any = "deep"
	for range depth {
		v = []any{v}
	}
	return v
}

// Any host may send nonsense, so what is said of it must neither fill the disk nor
// reach a terminal as it came.
func TestWhatGoesWrongOnTheBusIsSaidNowAndThen(t *testing.T) {
	t.Parallel()
	r := newReplica(t, dbtest.New(t))
	say := r.busLog()
	for range 10_000 {
		say("bus: passed over message 7 on log.web1.\x1b[31mx: it is no answer")
	}
	said := r.log.String()
	if n := strings.Count(said, "passed over message"); n == 0 || n > 3*busLines {
		t.Errorf("%d lines", n)
	}
	if strings.Contains(said, "31m") {
		t.Errorf("the log holds an escape sequence: %.200s", said)
	}
}
