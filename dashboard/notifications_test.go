package dashboard

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nixfleet/nixfleet/fleet"
)

// receiverShelf is who is told what, in memory.
type receiverShelf struct {
	mu      sync.Mutex
	list    []fleet.Receiver
	notices []fleet.NoticeShown
	saved   []fleet.ReceiverWish
	did     []string // "login what name"
	err     error
}

func (s *receiverShelf) Receivers(context.Context) ([]fleet.Receiver, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list, nil
}

func (s *receiverShelf) Notices(context.Context) ([]fleet.NoticeShown, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.notices, nil
}

func (s *receiverShelf) SaveReceiver(_ context.Context, by fleet.Actor, w fleet.ReceiverWish) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.saved, s.did = append(s.saved, w), append(s.did, by.Login+" save "+w.Name)
	}
	return s.err
}

func (s *receiverShelf) RemoveReceiver(_ context.Context, by fleet.Actor, name string) error {
	return s.do(by, "remove", name)
}

func (s *receiverShelf) TestReceiver(_ context.Context, by fleet.Actor, name string) error {
	return s.do(by, "test", name)
}

func (s *receiverShelf) do(by fleet.Actor, what, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.list {
		if r.Name == name {
			s.did = append(s.did, by.Login+" "+what+" "+name)
			return s.err
		}
	}
	return ErrUnknown
}

// receiverPage is a dashboard with the receivers of the story.
func receiverPage(t *testing.T) (*Dashboard, *world) {
	s := story(t, "notifications")
	w := newWorld(s.Overview)
	w.receivers.list, w.receivers.notices = s.Receivers, s.Notices
	return newDashboard(t, w, Config{}), w
}

// receiverFields is a form as a browser sends it.
func receiverFields() url.Values {
	return url.Values{
		"id": {"2"}, "was": {"mail"}, "seen": {"2026-11-01T12:00:00Z"}, "name": {" mail "}, "address": {"smtp://user:s3cr3t@mail.example.org"}, "where": {"here"},
		"enabled": {"on"}, "on": {"merged", "halted"}, "least": {"warning"}, "repos": {"a/b, c/d"}, "tz": {"Europe/Vienna"},
		"quiet_from": {"22:00"}, "quiet_to": {"07:00"}, "digest": {"daily"}, "digest_at": {"08:00"}, "digest_every": {"4"}, "urgent": {"none"},
		"title": {"{{.Title}}"}, "body": {"a\r\nb"},
	}
}

func TestAReceiverIsSavedAsTheFormSays(t *testing.T) {
	t.Parallel()
	d, w := receiverPage(t)
	rec := do(d, request(http.MethodPost, notificationsPath, "admin", receiverFields()))
	if rec.Code != http.StatusSeeOther || rec.Header().Get("Location") != notificationsPath {
		t.Fatalf("answered %d: %s", rec.Code, rec.Body)
	}
	want := fleet.ReceiverWish{
		ID: 2, Name: "mail", Address: "smtp://user:s3cr3t@mail.example.org", Enabled: true, Seen: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC),
		Rule: fleet.ReceiverRule{
			On: []fleet.NoticeKind{"merged", "halted"}, Least: "warning", Repos: []string{"a/b", "c/d"}, TZ: "Europe/Vienna",
			QuietFrom: "22:00", QuietTo: "07:00", DigestAt: "08:00", Patient: true, Title: "{{.Title}}", Body: "a\nb",
		},
	}
	if diff := cmp.Diff([]fleet.ReceiverWish{want}, w.receivers.saved); diff != "" {
		t.Error(diff)
	}
	form := receiverFields()
	form.Set("digest", "hours")
	form.Set("where", "file")
	form.Del("enabled")
	do(d, request(http.MethodPost, notificationsPath, "admin", form))
	if got := w.receivers.saved[1]; got.Rule.Every != 4 || got.Rule.DigestAt != "" || !got.InFile || got.Address != "" || got.Enabled {
		t.Errorf("saved %+v", got)
	}
}

func TestAFaultyReceiverComesBackWithoutItsAddress(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		code int
		says string
	}{
		"faults":   {fleet.ReceiverFaults{{Field: "address", Text: "it is no address"}, {Field: "tz", Text: "no zone"}}, http.StatusUnprocessableEntity, "It is no address"},
		"changed":  {ErrChanged, http.StatusConflict, "somebody else has changed"},
		"gone":     {ErrUnknown, http.StatusNotFound, "has removed this receiver"},
		"refused":  {Refused("not now"), http.StatusConflict, "not now"},
		"database": {errors.New("secret detail"), http.StatusServiceUnavailable, "did not answer"},
	} {
		d, w := receiverPage(t)
		w.receivers.err = c.err
		rec := do(d, request(http.MethodPost, notificationsPath, "admin", receiverFields()))
		page := rec.Body.String()
		if rec.Code != c.code || !strings.Contains(page, c.says) || !strings.Contains(page, `value="a/b, c/d"`) || !strings.Contains(page, "Enter it once more") {
			t.Errorf("%s: %d\n%s", name, rec.Code, mainOf(page))
		}
		if strings.Contains(page, "s3cr3t") || strings.Contains(page, "secret detail") {
			t.Errorf("%s: the page holds a secret", name)
		}
	}
}

func TestOnlyAdminsChangeReceivers(t *testing.T) {
	t.Parallel()
	d, w := receiverPage(t)
	form := url.Values{"build": {d.build}}
	for _, cookie := range []string{"view", "op"} {
		for _, r := range []*http.Request{
			request(http.MethodPost, notificationsPath, cookie, receiverFields()),
			request(http.MethodPost, notificationsPath+"/ops/test", cookie, form),
			request(http.MethodPost, notificationsPath+"/ops/remove", cookie, form),
			request(http.MethodGet, notificationsPath+"/new", cookie, nil),
			request(http.MethodGet, notificationsPath+"/ops/edit", cookie, nil),
		} {
			if rec := do(d, r); rec.Code != http.StatusForbidden {
				t.Errorf("%s %s by %s came to %d", r.Method, r.URL, cookie, rec.Code)
			}
		}
		if rec := do(d, request(http.MethodGet, notificationsPath+"/ops/remove", cookie, nil)); !strings.Contains(rec.Body.String(), "Read-only") || strings.Contains(rec.Body.String(), "Remove ops</button>") {
			t.Errorf("%s may press a button: %s", cookie, mainOf(rec.Body.String()))
		}
		if rec := do(d, request(http.MethodGet, notificationsPath, cookie, nil)); rec.Code != http.StatusOK {
			t.Errorf("%s can't read the page: %d", cookie, rec.Code)
		}
	}
	if len(w.receivers.did) > 0 {
		t.Errorf("done all the same: %v", w.receivers.did)
	}
}

func TestATestAndARemovalArePressed(t *testing.T) {
	t.Parallel()
	d, w := receiverPage(t)
	form := url.Values{"build": {d.build}}
	for i, c := range []struct {
		path string
		code int
	}{{"/ops/test", 303}, {"/ops/remove", 303}, {"/nobody/test", 404}, {"/nobody/remove", 303}, {"/nobody/edit", 405}} {
		if rec := do(d, request(http.MethodPost, notificationsPath+c.path, "admin", form)); rec.Code != c.code {
			t.Errorf("%d: %s came to %d", i, c.path, rec.Code)
		}
	}
	if diff := cmp.Diff([]string{"alice test ops", "alice remove ops"}, w.receivers.did); diff != "" {
		t.Error(diff)
	}
	if rec := do(d, request(http.MethodGet, notificationsPath+"/nobody/edit", "admin", nil)); rec.Code != http.StatusNotFound {
		t.Errorf("the form of nobody is %d", rec.Code)
	}
	if rec := do(d, request(http.MethodPost, notificationsPath+"/ops/test", "admin", url.Values{"build": {"old"}})); rec.Code != http.StatusConflict {
		t.Errorf("a press on an old page came to %d", rec.Code)
	}
}

func TestWhatWasSentShowsByItself(t *testing.T) {
	t.Parallel()
	d, w := receiverPage(t)
	topic, err := d.notificationsLive().topic(nil)
	if err != nil {
		t.Fatal(err)
	}
	before, err := render(t.Context(), topic, d.scene(w.overview))
	if err != nil {
		t.Fatal(err)
	}
	w.receivers.notices[0].State, w.receivers.notices[0].Attempts = "sent", 1
	after, err := render(t.Context(), topic, d.scene(w.overview))
	if err != nil {
		t.Fatal(err)
	}
	if patch := string(after.since(before)); strings.Count(patch, "<hx-partial") != 1 || !strings.Contains(patch, "#d-9") || !strings.Contains(patch, "Sent") {
		t.Errorf("the patch is %s", patch)
	}
}
