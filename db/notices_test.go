package db_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

// receiver makes one, and its effect's payload finds it.
func (w *world) receiver(name string, rule fleet.ReceiverRule) int64 {
	w.t.Helper()
	id, err := w.d.SaveReceiver(w.t.Context(), db.SaveReceiver{Name: name, Service: "Webhook", Sealed: []byte("sealed"), Enabled: true, Rule: rule, By: "alice"}, w.now)
	must(w.t, err)
	return id
}

// spread looks at all news.
func (w *world) spread() {
	w.t.Helper()
	for {
		n, err := w.d.SpreadNotices(w.t.Context(), w.now, 10)
		must(w.t, err)
		if n == 0 {
			return
		}
	}
}

func (w *world) deliveries(receiver string) []db.NoticeDelivery {
	w.t.Helper()
	list, err := w.d.NoticeDeliveries(w.t.Context(), receiver, 100)
	must(w.t, err)
	return list
}

// due is what is due for a receiver, by kind.
func (w *world) due(receiver int64) (kinds []fleet.NoticeKind, ids []int64) {
	w.t.Helper()
	_, sealed, due, err := w.d.DueNotices(w.t.Context(), receiver, w.now)
	must(w.t, err)
	equal(w.t, "the sealed address", string(sealed), "sealed")
	for _, d := range due {
		kinds, ids = append(kinds, d.Kind), append(ids, d.ID)
	}
	return kinds, ids
}

var everything = func() (rule fleet.ReceiverRule) {
	for _, k := range fleet.NoticeKinds() {
		rule.On = append(rule.On, k.Kind)
	}
	return rule
}()

func TestWhatHappensIsSpreadOnceToWhoWantsIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	all := w.receiver("all", everything)
	ops := w.receiver("ops", fleet.ReceiverRule{On: []fleet.NoticeKind{fleet.NoticeFailing}})
	c := w.claim(1)
	w.look(c, fleet.UpdateChecks, "aaa")
	w.look(w.claim(1), fleet.UpdateFailing, "aaa")
	var running sync.WaitGroup
	for range 4 { // replicas
		running.Go(func() {
			for range 5 {
				if _, err := w.d.SpreadNotices(t.Context(), w.now, 1); err != nil {
					t.Error(err)
				}
			}
		})
	}
	running.Wait()
	w.spread()
	kinds, _ := w.due(all)
	equal(t, "told to all", kinds, []fleet.NoticeKind{fleet.NoticeOpened, fleet.NoticeFailing})
	kinds, _ = w.due(ops)
	equal(t, "told to ops", kinds, []fleet.NoticeKind{fleet.NoticeFailing})
	n := w.deliveries("ops")[0].Notice
	if n.Repo != "o/r7" || n.Number != 1 || n.Title != "Update flake.lock" || n.Reason != "It is failing." || n.Actor != "policy" {
		t.Errorf("the notice is %+v", n)
	}
	if n := w.count(`select count(*) from notices where facts is null`); n != 0 {
		t.Errorf("%d lines were not looked at", n)
	}
}

func TestWhatNobodyWantsIsForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.look(w.claim(1), fleet.UpdateChecks, "aaa")
	w.spread()
	w.receiver("ops", everything) // what happened before is no news
	w.spread()
	if n := w.count(`select count(*) from notices`); n != 0 || len(w.deliveries("")) != 0 {
		t.Errorf("%d notices, %v", n, w.deliveries(""))
	}
}

func TestPoliciesNameReceivers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ops := w.receiver("ops", fleet.ReceiverRule{})
	w.receiver("dev", fleet.ReceiverRule{})
	claims, err := w.d.ClaimRepos(t.Context(), w.now, lease, 1)
	must(t, err)
	p := fleet.DefaultPolicy()
	p.Notify = []fleet.NotifyRule{{To: "ops", On: []string{"failing"}}, {To: "nobody"}}
	must(t, w.d.SaveRepo(t.Context(), claims[0], db.RepoChange{Policy: &p, Again: w.now.Add(time.Hour)}, w.now))
	c := w.claim(1)
	equal(t, "receivers that an update knows of", c.Recorded.Receivers, []string{"dev", "ops"})
	w.look(c, fleet.UpdateFailing, "aaa")
	w.spread()
	kinds, _ := w.due(ops)
	equal(t, "told to ops", kinds, []fleet.NoticeKind{fleet.NoticeFailing})
	if got := w.deliveries("dev"); len(got) != 0 {
		t.Errorf("told to dev: %v", got)
	}
}

func TestNoticesWaitForTheirTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t) // noon
	quiet := everything
	quiet.QuietFrom, quiet.QuietTo = "11:00", "13:00"
	id := w.receiver("ops", quiet)
	w.look(w.claim(1), fleet.UpdateFailing, "aaa")
	w.spread()
	must(t, w.d.RaiseNotices(t.Context(), w.now))
	if kinds, _ := w.due(id); len(kinds) != 0 || w.count(`select count(*) from outbox where kind = 'notify'`) != 0 {
		t.Errorf("due in quiet hours: %v", kinds)
	}
	w.after(time.Hour)
	must(t, w.d.RaiseNotices(t.Context(), w.now))
	must(t, w.d.RaiseNotices(t.Context(), w.now))
	if kinds, _ := w.due(id); len(kinds) != 1 || w.count(`select count(*) from outbox where kind = 'notify'`) != 1 {
		t.Errorf("due after quiet hours: %v", kinds)
	}
}

func TestAFailingReceiverIsSeenAndGivenUpAfterADay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.receiver("ops", everything)
	w.look(w.claim(1), fleet.UpdateFailing, "aaa")
	w.spread()
	_, ids := w.due(id)
	since := w.now
	must(t, w.d.NoticesFailed(t.Context(), id, ids, "404", 24*time.Hour, w.now))
	must(t, w.d.NoticesFailed(t.Context(), id, ids, "403", 24*time.Hour, w.after(23*time.Hour)))
	r, err := w.d.Receiver(t.Context(), "ops")
	must(t, err)
	if !r.FailingSince.Equal(since) || r.LastError != "403" || r.Waiting != 1 {
		t.Errorf("the receiver is %+v", r)
	}
	o, err := w.d.Overview(t.Context(), w.now)
	must(t, err)
	equal(t, "what the overview says", o.Silent, []fleet.SilentReceiver{{Name: "ops", Since: since, Error: "403"}})
	must(t, w.d.NoticesFailed(t.Context(), id, ids, "403", 24*time.Hour, w.after(time.Hour)))
	got := w.deliveries("ops")[0]
	if got.State != "failed" || got.Attempts != 3 || got.Error != "403" || !got.EndedAt.Equal(w.now) {
		t.Errorf("the delivery is %+v", got)
	}
	if kinds, _ := w.due(id); len(kinds) != 0 {
		t.Errorf("still due: %v", kinds)
	}
	w.look(w.claim(1), fleet.UpdateBlocked, "aaa")
	w.spread()
	_, ids = w.due(id)
	must(t, w.d.NoticesSent(t.Context(), id, ids, w.now))
	if r, _ = w.d.Receiver(t.Context(), "ops"); !r.FailingSince.IsZero() || !r.LastSent.Equal(w.now) || r.Waiting != 0 {
		t.Errorf("after a success the receiver is %+v", r)
	}
	n, err := w.d.PruneNotices(t.Context(), w.now.Add(time.Hour), 10)
	must(t, err)
	if n != 2 || len(w.deliveries("")) != 0 {
		t.Errorf("%d notices were forgotten", n)
	}
}

func TestATestGoesToItsReceiverOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	quiet := everything
	quiet.QuietFrom, quiet.QuietTo = "11:00", "13:00"
	id, other := w.receiver("ops", quiet), w.receiver("dev", everything)
	must(t, w.d.TestReceiver(t.Context(), "ops", "alice", w.now))
	must(t, w.d.TestReceiver(t.Context(), "ops", "alice", w.now)) // a second press
	w.spread()
	must(t, w.d.TestReceiver(t.Context(), "ops", "alice", w.now))
	w.spread()
	kinds, _ := w.due(id)
	equal(t, "told to ops", kinds, []fleet.NoticeKind{fleet.NoticeTest})
	if kinds, _ := w.due(other); len(kinds) != 0 {
		t.Errorf("told to dev: %v", kinds)
	}
	if err := w.d.TestReceiver(t.Context(), "nobody", "alice", w.now); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("a test of nobody came to %v", err)
	}
}

func TestReceiversAreSaved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	save := func(s db.SaveReceiver) (int64, error) { s.By = "alice"; return w.d.SaveReceiver(t.Context(), s, w.now) }
	first := db.SaveReceiver{Name: "ops", Service: "Slack", Sealed: []byte("sealed"), Enabled: true, Rule: everything, Request: "form1"}
	id, err := save(first)
	must(t, err)
	if again, err := save(first); err != nil || again != id {
		t.Errorf("the same form again came to %d, %v", again, err)
	}
	if _, err := save(db.SaveReceiver{Name: "ops", Request: "form2"}); !errors.Is(err, db.ErrNameTaken) {
		t.Errorf("a second of the name came to %v", err)
	}
	seen, err := w.d.Receiver(t.Context(), "ops")
	must(t, err)
	w.look(w.claim(1), fleet.UpdateFailing, "aaa")
	w.spread()
	w.after(time.Minute)
	_, err = save(db.SaveReceiver{ID: id, Name: "oncall", Enabled: false, Rule: everything, Seen: seen.ChangedAt})
	must(t, err)
	if _, err := save(db.SaveReceiver{ID: id, Name: "ops", Seen: seen.ChangedAt}); !errors.Is(err, db.ErrConflict) {
		t.Errorf("a change of what was changed came to %v", err)
	}
	r, err := w.d.Receiver(t.Context(), "oncall")
	must(t, err)
	if r.InFile || r.Service != "Slack" || r.Enabled || r.ChangedBy != "alice" {
		t.Errorf("it is %+v", r)
	}
	if d := w.deliveries("oncall"); len(d) != 1 || d[0].State != "dropped" {
		t.Errorf("what waited for one that was switched off is %v", d)
	}
	_, err = save(db.SaveReceiver{ID: id, Name: "oncall", InFile: true, Service: "ntfy", Enabled: true})
	must(t, err)
	if r, _ = w.d.Receiver(t.Context(), "oncall"); !r.InFile || r.Service != "ntfy" {
		t.Errorf("with its address in a file it is %+v", r)
	}
	must(t, w.d.RemoveReceiver(t.Context(), "oncall", "alice", w.now))
	if err := w.d.RemoveReceiver(t.Context(), "oncall", "alice", w.now); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("a second removal came to %v", err)
	}
	if _, err := save(db.SaveReceiver{ID: id, Name: "ops"}); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("a change of what was removed came to %v", err)
	}
	events, err := w.d.History(t.Context(), 100)
	must(t, err)
	var kinds []string
	for _, e := range events {
		if e.Subject == "receiver/1" {
			kinds = append(kinds, e.Kind)
		}
	}
	equal(t, "history", kinds, []string{"receiver.removed", "receiver.changed", "receiver.changed", "receiver.added"})
}

func TestTroubleIsToldWhenItBeginsAndWhenItIsOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.receiver("ops", everything)
	gone := func(hosts ...string) (found []fleet.Trouble) {
		for _, h := range hosts {
			found = append(found, fleet.Trouble{Kind: fleet.NoticeHostOffline, Subject: "host/" + h, Reason: "It was last heard yesterday."})
		}
		return found
	}
	lost := fleet.Trouble{Kind: fleet.NoticeWebhooksLost, Subject: "github", Reason: "1 webhook did not arrive."}
	broken := fleet.Trouble{Kind: fleet.NoticePolicyBroken, Subject: "repo/o/r7", Reason: "3:1: no"}
	steps := []struct {
		after time.Duration
		found []fleet.Trouble
		told  []string
	}{
		{0, append(gone("a", "b"), lost), []string{"host_offline [a b]"}},
		{time.Minute, append(gone("a", "b"), lost), nil},
		{7 * time.Minute, append(gone("a"), lost, broken), []string{"policy_broken o/r7"}},
		{2 * time.Minute, append(gone("a"), lost, broken), []string{"webhooks_lost []"}},
		{time.Minute, append(gone("a", "b"), broken), nil}, // it was away for a moment only
		{9 * time.Minute, append(gone("a", "b"), broken), []string{"recovered []"}},
		{10 * time.Minute, nil, []string{"recovered [a b]", "recovered o/r7"}},
		{time.Minute, gone("a"), []string{"host_offline [a]"}},
	}
	seen := 0
	for i, s := range steps {
		w.after(s.after)
		must(t, w.d.Watch(t.Context(), s.found, w.now))
		must(t, w.d.Watch(t.Context(), s.found, w.now)) // another replica
		w.spread()
		list := w.deliveries("ops")
		var told []string
		for _, d := range list[:len(list)-seen] {
			about := d.Notice.Repo
			if about == "" {
				about = fmt.Sprint(d.Notice.Concerned)
			}
			told = append([]string{string(d.Kind) + " " + about}, told...)
		}
		seen = len(list)
		equal(t, fmt.Sprint("step ", i), told, s.told)
	}
}
