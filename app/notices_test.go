package app

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/dashboard"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/db/dbtest"
	"github.com/nixfleet/nixfleet/fleet"
)

// inboxOf is a program that takes webhooks, and keeps what it got.
type inboxOf struct {
	*httptest.Server
	mu     sync.Mutex
	got    []string
	status int
}

func newInbox(t *testing.T) *inboxOf {
	in := &inboxOf{status: http.StatusOK}
	in.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		in.mu.Lock()
		defer in.mu.Unlock()
		if in.status == http.StatusOK {
			in.got = append(in.got, string(text))
		}
		w.WriteHeader(in.status)
	}))
	t.Cleanup(in.Close)
	return in
}

// address is one that holds a secret.
func (in *inboxOf) address() string { return "generic+" + in.URL + "/" + receiverSecret }

const receiverSecret = "s3cr3t-hook"

func (in *inboxOf) answers(status int) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.status = status
}

// titles are the first lines of what it got.
func (in *inboxOf) titles() []string {
	in.mu.Lock()
	defer in.mu.Unlock()
	var out []string
	for _, text := range in.got {
		title, _, _ := strings.Cut(text, "\n")
		out = append(out, title)
	}
	return out
}

// newTeller is a replica that can seal addresses with the key in a file.
func newTeller(t *testing.T, d *db.DB, key string) *replica {
	t.Helper()
	r := newReplica(t, d)
	s, err := openSeal(key, true)
	must(t, err)
	r.seal = s
	return r
}

func (r *replica) receiver(t *testing.T, name, address string, rule fleet.ReceiverRule) {
	t.Helper()
	must(t, r.saveReceiver(t.Context(), fleet.Actor{Login: "alice"}, fleet.ReceiverWish{Name: name, Address: address, InFile: address == "", Enabled: true, Rule: rule}))
}

// happens puts something into the history that is news.
func (r *replica) happens(t *testing.T, commits ...string) {
	t.Helper()
	for _, c := range commits {
		must(t, r.db.Remember(t.Context(), db.Event{At: r.clock.now(), Actor: "policy", Kind: "quarantine.set", Subject: "commit/" + c, Reason: "1 host failed."}))
	}
}

// tell does what the loops do, until nothing is left to do at once.
func (r *replica) tell(t *testing.T) {
	t.Helper()
	for {
		n, err := r.workNotices(t.Context())
		must(t, err)
		m, err := r.workMessages(t.Context())
		must(t, err)
		if n+m == 0 {
			return
		}
	}
}

func (r *replica) newest(t *testing.T) fleet.NoticeShown {
	t.Helper()
	list, err := r.noticesShown(t.Context(), "")
	must(t, err)
	if len(list) == 0 {
		t.Fatal("nothing was ever to be told")
	}
	return list[0]
}

var usual = fleet.ReceiverRule{On: fleet.UsualNotices()}

func TestTwoReplicasTellEachThingOnce(t *testing.T) {
	t.Parallel()
	d, key, in := dbtest.New(t), filepath.Join(t.TempDir(), "key"), newInbox(t)
	a, b := newTeller(t, d, key), newTeller(t, d, key)
	a.receiver(t, "ops", in.address(), usual)
	a.happens(t, "aaaaaaa", "bbbbbbb", "ccccccc")
	var running sync.WaitGroup
	for _, r := range []*replica{a, b, a, b} {
		running.Go(func() { r.tell(t) })
	}
	running.Wait()
	a.tell(t)
	want := []string{"Commit aaaaaaa is in quarantine", "Commit bbbbbbb is in quarantine", "Commit ccccccc is in quarantine"}
	if got := in.titles(); !slices.Equal(got, want) {
		t.Errorf("told %q", got)
	}
	if n := a.newest(t); n.State != "sent" || n.Attempts != 1 {
		t.Errorf("the last delivery is %+v", n)
	}
}

// A server that dies after a message went out and before that was noted.
func TestWhatWasNotNotedIsToldAgain(t *testing.T) {
	t.Parallel()
	d, key, in := dbtest.New(t), filepath.Join(t.TempDir(), "key"), newInbox(t)
	dying, other := newTeller(t, d, key), newTeller(t, d, key)
	dying.receiver(t, "ops", in.address(), usual)
	dying.happens(t, "aaaaaaa")
	_, err := dying.workNotices(t.Context())
	must(t, err)
	claimed, err := d.ClaimEffects(t.Context(), dying.clock.now(), lease, 1, "notify")
	must(t, err)
	about, err := subject(claimed[0])
	must(t, err)
	r, _, due, err := d.DueNotices(t.Context(), about.Receiver, dying.clock.now())
	must(t, err)
	m, _ := dying.nextMessage(r, due)
	must(t, dying.sender.Send(t.Context(), in.address(), m))
	other.tell(t) // it holds the lease
	if got := in.titles(); len(got) != 1 {
		t.Fatalf("told %q while another was at it", got)
	}
	other.clock.forward(lease + time.Second)
	other.tell(t)
	if got := in.titles(); len(got) != 2 || got[0] != got[1] || other.newest(t).State != "sent" {
		t.Errorf("told %q", got)
	}
}

func TestAReceiverThatFailsIsTriedForADayAndSeen(t *testing.T) {
	t.Parallel()
	in := newInbox(t)
	r := newTeller(t, dbtest.New(t), filepath.Join(t.TempDir(), "key"))
	r.receiver(t, "ops", in.address(), usual)
	in.answers(http.StatusForbidden)
	r.happens(t, "aaaaaaa")
	for range 300 { // five minutes each at most
		r.tell(t)
		r.clock.forward(5 * time.Minute)
	}
	n := r.newest(t)
	if n.State != "failed" || n.Attempts < 10 || !strings.Contains(n.Error, "403") || n.EndedAt.Sub(n.At) > 25*time.Hour {
		t.Errorf("the delivery is %+v", n)
	}
	r.happens(t, "bbbbbbb")
	r.tell(t)
	x := &examination{a: r.App}
	x.receivers(t.Context())
	if f := x.findings[0]; f.State != wrong || !strings.Contains(f.Found, "ops since") || !strings.Contains(f.Found, "403") {
		t.Errorf("doctor says %+v", f)
	}
	in.answers(http.StatusOK)
	r.clock.forward(5 * time.Minute)
	r.tell(t)
	if got := in.titles(); !slices.Equal(got, []string{"Commit bbbbbbb is in quarantine"}) {
		t.Errorf("told %q", got)
	}
	x = &examination{a: r.App}
	if x.receivers(t.Context()); x.findings[0].State != fine {
		t.Errorf("doctor says %+v", x.findings[0])
	}
	events, err := r.db.History(t.Context(), 100)
	must(t, err)
	known, sealed, _, err := r.db.DueNotices(t.Context(), 1, r.clock.now())
	must(t, err)
	all, err := r.db.NoticeDeliveries(t.Context(), "", 100)
	must(t, err)
	if text := fmt.Sprint(events, known, string(sealed), all, r.log.String()); strings.Contains(text, receiverSecret) {
		t.Errorf("the secret is in the database or in the log: %s", text)
	}
}

func TestQuietHoursAndFloodsAreOneMessage(t *testing.T) {
	t.Parallel()
	in := newInbox(t)
	r := newTeller(t, dbtest.New(t), filepath.Join(t.TempDir(), "key"))
	now := r.clock.now().UTC()
	patient := usual
	patient.Patient, patient.QuietFrom, patient.QuietTo = true, now.Add(-time.Hour).Format("15:04"), now.Add(time.Hour).Format("15:04")
	r.receiver(t, "ops", in.address(), patient)
	r.happens(t, "aaaaaaa", "bbbbbbb")
	r.tell(t)
	if got := in.titles(); len(got) != 0 {
		t.Fatalf("told in quiet hours: %q", got)
	}
	must(t, service{r.App}.TestReceiver(t.Context(), fleet.Actor{Login: "alice"}, "ops"))
	r.tell(t) // a test does not wait
	r.clock.forward(time.Hour)
	r.tell(t)
	r.happens(t, "1111111", "2222222", "3333333", "4444444", "5555555")
	r.tell(t)
	want := []string{"NixFleet can reach you", "NixFleet: 2 notices, 2 errors among them", "NixFleet: 5 notices, 5 errors among them"}
	if got := in.titles(); !slices.Equal(got, want) {
		t.Errorf("told %q", got)
	}
	r.tell(t)
	if got := in.titles(); len(got) != 3 {
		t.Errorf("told again: %q", got[3:])
	}
}

func TestAnAddressInTheFileIsReadAnewForEachMessage(t *testing.T) {
	t.Parallel()
	first, second := newInbox(t), newInbox(t)
	r := newTeller(t, dbtest.New(t), filepath.Join(t.TempDir(), "key"))
	r.cfg.ReceiversFile = filepath.Join(t.TempDir(), "receivers")
	write := func(text string) { must(t, os.WriteFile(r.cfg.ReceiversFile, []byte(text), 0o600)) }
	write("dev " + second.address() + "\nops   " + first.address() + "\n")
	r.receiver(t, "ops", "", usual)
	r.happens(t, "aaaaaaa")
	r.tell(t)
	write("ops " + second.address())
	r.happens(t, "bbbbbbb")
	r.tell(t)
	write("")
	r.happens(t, "ccccccc")
	r.tell(t)
	if a, b := first.titles(), second.titles(); len(a) != 1 || len(b) != 1 {
		t.Errorf("told %q and %q", a, b)
	}
	if n := r.newest(t); !strings.Contains(n.Error, "begins with ops") {
		t.Errorf("without its line the delivery is %+v", n)
	}
}

func TestAnotherKeyIsToldApartFromAReceiverThatFails(t *testing.T) {
	t.Parallel()
	d, in := dbtest.New(t), newInbox(t)
	good, bad := newTeller(t, d, filepath.Join(t.TempDir(), "a")), newTeller(t, d, filepath.Join(t.TempDir(), "b"))
	good.receiver(t, "ops", in.address(), usual)
	good.happens(t, "aaaaaaa")
	bad.tell(t)
	if n := bad.newest(t); n.State != "waiting" || !strings.Contains(n.Error, "NIXFLEET_SEAL_KEY_FILE") {
		t.Errorf("the delivery is %+v", n)
	}
	good.clock.forward(time.Minute)
	good.tell(t)
	if got := in.titles(); len(got) != 1 {
		t.Errorf("told %q", got)
	}
}

func TestReceiversOverTheAPI(t *testing.T) {
	t.Parallel()
	in := newInbox(t)
	r := newTeller(t, dbtest.New(t), filepath.Join(t.TempDir(), "key"))
	c := &api.Client{Server: r.url, Token: adminSecret}
	for name, n := range map[string]api.NewReceiver{
		"no address": {}, "a bad one": {Address: "logger://"}, "of a file": {InFile: true}, "rule": {Address: in.address(), Rule: &fleet.ReceiverRule{Body: "{{"}},
	} {
		if _, err := c.PutReceiver(t.Context(), "ops", n); err == nil || !strings.Contains(err.Error(), "not saved") {
			t.Errorf("%s came to %v", name, err)
		}
	}
	if _, err := c.PutReceiver(t.Context(), "a b", api.NewReceiver{Address: in.address()}); err == nil {
		t.Error("a name with a space was taken")
	}
	made, err := c.PutReceiver(t.Context(), "ops", api.NewReceiver{Address: in.address()})
	must(t, err)
	if made.Service != "Webhook" || !made.Enabled {
		t.Errorf("made %+v", made)
	}
	must(t, c.TestReceiver(t.Context(), "ops"))
	r.tell(t)
	list, err := c.Deliveries(t.Context(), "ops")
	must(t, err)
	if len(list) != 1 || list[0].State != "sent" || list[0].Title != "NixFleet can reach you" {
		t.Errorf("deliveries %+v", list)
	}
	must(t, c.RemoveReceiver(t.Context(), "ops"))
	if all, err := c.Receivers(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("left %v, %v", all, err)
	}
}

func TestTroubleThatLastsIsTold(t *testing.T) {
	t.Parallel()
	in := newInbox(t)
	r := newTeller(t, dbtest.New(t), filepath.Join(t.TempDir(), "key"))
	r.receiver(t, "ops", in.address(), usual)
	r.hearing = r.clock.now()
	r.lost.Store(2)
	for range 20 { // minutes
		must(t, r.lookForTrouble(t.Context()))
		r.clock.forward(time.Minute)
	}
	r.tell(t)
	r.lost.Store(0)
	for range 20 {
		must(t, r.lookForTrouble(t.Context()))
		r.clock.forward(time.Minute)
	}
	r.tell(t)
	if got := in.titles(); !slices.Equal(got, []string{"GitHub’s webhooks don’t arrive", "All well again"}) {
		t.Errorf("told %q", got)
	}
}

func TestReceiversOfThePage(t *testing.T) {
	t.Parallel()
	in := newInbox(t)
	r := newTeller(t, dbtest.New(t), filepath.Join(t.TempDir(), "key"))
	page, alice := receivers{r.App}, fleet.Actor{Login: "alice"}
	wish := fleet.ReceiverWish{Name: "ops", Address: in.address(), Enabled: true, Rule: usual, Request: "form1"}
	must(t, page.SaveReceiver(t.Context(), alice, wish))
	must(t, page.SaveReceiver(t.Context(), alice, wish)) // pressed twice
	wish.Request = "form2"
	if faults, ok := errors.AsType[fleet.ReceiverFaults](page.SaveReceiver(t.Context(), alice, wish)); !ok || faults[0].Field != "name" {
		t.Errorf("a second one of the name came to %v", faults)
	}
	list, err := page.Receivers(t.Context())
	must(t, err)
	wish.ID, wish.Address, wish.Seen = list[0].ID, "", list[0].ChangedAt
	r.clock.forward(time.Minute)
	must(t, page.SaveReceiver(t.Context(), alice, wish))
	if err := page.SaveReceiver(t.Context(), alice, wish); !errors.Is(err, dashboard.ErrChanged) {
		t.Errorf("a change of what was changed came to %v", err)
	}
	must(t, page.TestReceiver(t.Context(), alice, "ops"))
	r.tell(t)
	shown, err := page.Notices(t.Context())
	must(t, err)
	if len(shown) != 1 || shown[0].State != "sent" || shown[0].Link != "/settings/notifications" || len(in.titles()) != 1 {
		t.Errorf("shown %+v", shown)
	}
	must(t, page.RemoveReceiver(t.Context(), alice, "ops"))
	for what, err := range map[string]error{
		"test": page.TestReceiver(t.Context(), alice, "ops"), "removal": page.RemoveReceiver(t.Context(), alice, "ops"),
		"change": page.SaveReceiver(t.Context(), alice, wish),
	} {
		if !errors.Is(err, dashboard.ErrUnknown) {
			t.Errorf("the %s of what is gone came to %v", what, err)
		}
	}
}
