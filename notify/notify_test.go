package notify_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/notify"
)

var told = fleet.Message{Title: "Deployed 9/9 hosts", Body: "aurora/nixcfg #42", Severity: fleet.SeverityInfo, Link: "https://fleet.example.org/rollouts/1"}

// receiver is a program that takes webhooks, and keeps what it got.
type receiver struct {
	*httptest.Server
	bodies, paths []string
	answer        int
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{answer: http.StatusOK}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		b, _ := io.ReadAll(q.Body)
		r.bodies, r.paths = append(r.bodies, string(b)), append(r.paths, q.URL.Path)
		w.WriteHeader(r.answer)
		_, _ = io.WriteString(w, "you sent "+q.URL.String())
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) host() string { return strings.TrimPrefix(r.URL, "http://") }

func TestAWebhookGetsTheMessage(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	var s notify.Sender
	if err := s.Send(t.Context(), "generic+"+r.URL+"/hooks/secret", told); err != nil {
		t.Fatal(err)
	}
	if err := s.Send(t.Context(), "generic://"+r.host()+"/json?template=json&disabletls=yes", told); err != nil {
		t.Fatal(err)
	}
	want := "Deployed 9/9 hosts\n\naurora/nixcfg #42\n\nhttps://fleet.example.org/rollouts/1"
	if len(r.bodies) != 2 || r.bodies[0] != want || r.paths[0] != "/hooks/secret" {
		t.Errorf("got %q at %q", r.bodies, r.paths)
	}
	var fields map[string]string
	if err := json.Unmarshal([]byte(r.bodies[1]), &fields); err != nil {
		t.Fatal(err)
	}
	for key, value := range map[string]string{"title": told.Title, "message": told.Body, "severity": "info", "link": told.Link} {
		if fields[key] != value {
			t.Errorf("%s is %q, not %q", key, fields[key], value)
		}
	}
}

func TestNtfyGetsTitlePriorityAndLink(t *testing.T) {
	t.Parallel()
	var header http.Header
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		header = q.Header
		_, _ = io.WriteString(w, "{}")
	}))
	defer server.Close()
	m := told
	m.Severity = fleet.SeverityError
	var s notify.Sender
	if err := s.Send(t.Context(), "ntfy://"+strings.TrimPrefix(server.URL, "http://")+"/topic?scheme=http", m); err != nil {
		t.Fatal(err)
	}
	if header.Get("Title") != m.Title || header.Get("Click") != m.Link || header.Get("Priority") != "High" {
		t.Errorf("the headers are %v", header)
	}
}

func TestAnErrorTellsWhatHappenedAndNoSecret(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	r.answer = http.StatusForbidden
	gone := httptest.NewServer(nil)
	gone.Close()
	for address, want := range map[string]string{
		"generic+" + r.URL + "/hooks/s3cr3t-path?key=s3cr3t-key":                                  "403",
		"generic://" + r.host() + "/s3cr3t-path?disabletls=yes&@Authorization=Bearer+s3cr3t-head": "403",
		"generic+" + gone.URL + "/s3cr3t-path":                                                    "does not answer",
		"ntfy://user:s3cr3t-pass@" + r.host() + "/s3cr3t-topic?scheme=http":                       "403",
		"slack://hook:s3cr3t-token@webhook":                                                       "not what this service takes",
		"telegram://s3cr3t@telegram?chats=1":                                                      "not what this service takes",
	} {
		var s notify.Sender
		err := s.Send(t.Context(), address, told)
		if err == nil {
			t.Errorf("%s was taken", address)
			continue
		}
		if strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("the error holds a secret: %v", err)
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q does not tell %q", address, err, want)
		}
	}
}

func TestNoSecretOfAnyAddressIsTold(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	r.answer = http.StatusTeapot
	word := rapid.StringMatching(`[A-Za-z0-9%!_-]{6,20}`)
	rapid.Check(t, func(t *rapid.T) {
		user, pass, path, key := word.Draw(t, "user"), word.Draw(t, "pass"), word.Draw(t, "path"), word.Draw(t, "key")
		address := rapid.SampledFrom([]string{
			"generic+http://" + user + ":" + pass + "@" + r.host() + "/" + path + "?key=" + key,
			"ntfy://" + user + ":" + pass + "@" + r.host() + "/" + path + "?scheme=http",
			"slack://" + user + ":" + pass + "@" + key,
			"discord://" + pass + "@" + key + "/" + path,
			"telegram://" + user + ":" + pass + "@telegram?chats=" + key,
			"gotify://" + r.host() + "/" + path + "/" + key + "?disabletls=yes",
			"nothing://" + pass, user + ":" + pass,
		}).Draw(t, "address")
		err := notify.Check(address)
		if err == nil {
			if strings.HasPrefix(address, "discord") || strings.HasPrefix(address, "slack") || strings.HasPrefix(address, "telegram") {
				return // it would be sent to the real service
			}
			var s notify.Sender
			err = s.Send(t.Context(), address, told)
		}
		if err == nil {
			t.Fatalf("%s was taken", address)
		}
		for _, secret := range []string{user, pass, path, key} {
			if strings.Contains(err.Error(), secret) {
				t.Fatalf("%q tells %q of %s", err, secret, address)
			}
		}
	})
}

func TestAddressesAreChecked(t *testing.T) {
	t.Parallel()
	for address, ok := range map[string]bool{
		"slack://hook:WNA3PBYV6-F20DUQND3RQ-Webc4MAvoacrpPakR8phF0zi@webhook": true,
		"discord://token@123456789": true,
		"ntfy://ntfy.sh/topic":      true,
		"matrix://user:pass@matrix.example.org/?rooms=!r:example.org":    true,
		"smtp://user:pass@mail.example.org:587/?from=a@b.org&to=c@d.org": true,
		"generic+https://example.org/hook":                               true,
		"logger://":                                                      false,
		"matrix://matrix.example.org":                                    false,
		"https://hooks.slack.com/x":                                      false,
		"ops":                                                            false,
		"":                                                               false,
		"slack://":                                                       false,
	} {
		if err := notify.Check(address); (err == nil) != ok {
			t.Errorf("%s: %v", address, err)
		}
	}
	if notify.Service("generic+https://x") != "Webhook" || notify.Service("SLACK://x") != "Slack" || notify.Service("nothing") != "" {
		t.Error("services are not told apart")
	}
}

func TestAReceiverThatHoldsOnIsAskedOnceOnly(t *testing.T) {
	t.Parallel()
	asked, free := make(chan struct{}, 10), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-free
	}))
	defer server.Close()
	defer close(free)
	var s notify.Sender
	done := make(chan error, 1)
	go func() { done <- s.Send(t.Context(), "generic+"+server.URL, told) }()
	<-asked
	if err := s.Send(t.Context(), "generic+"+server.URL, told); err == nil || !strings.Contains(err.Error(), "still holds") {
		t.Errorf("the second attempt came to %v", err)
	}
	free <- struct{}{}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
