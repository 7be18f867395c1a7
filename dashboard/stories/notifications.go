package stories

import (
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// notifications are the stories of the page about who is told what.
func (b book) notifications() []Story {
	const page, form = "/settings/notifications", "/settings/notifications/new"
	plain, failing, hostile := b.receivers(), b.receivers(), b.receivers()[:1]
	failing[0].FailingSince, failing[0].LastError, failing[0].Waiting = b.ago(3*time.Hour), "failed to send notification: server returned 403 Forbidden", 4
	hostile[0].Name, hostile[0].LastError, hostile[0].FailingSince = "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", b.ago(time.Hour)
	broken := b.receivers()
	broken[0].Rule.On, broken[0].Rule.TZ, broken[0].Rule.Body = []fleet.NoticeKind{"future_event"}, "Mars/Olympus", "{{.Nothing}}"
	told := b.fleet(b.nine())
	silent := b.fleet(b.nine())
	silent.Silent = []fleet.SilentReceiver{{Name: "ops", Since: b.ago(3 * time.Hour), Error: "server returned 403 Forbidden"}}
	named := b.fleet(b.nine())
	p := *named.Repos[0].Policy
	p.Notify = []fleet.NotifyRule{{To: "ops", On: []string{"merged", "failed", "halted", "succeeded"}}, {To: "oncall", On: []string{"halted"}}, {To: "phone"}}
	named.Repos[0].Policy = &p
	return []Story{
		{Name: "notifications-empty", About: "Nobody is told anything yet.", Path: page, Role: "admin", Overview: told},
		{Name: "notifications", About: "Three receivers, and what was sent.", Path: page, Role: "admin", Overview: told, Receivers: plain, Notices: b.notices()},
		{Name: "notifications-failing", About: "A receiver can’t be reached.", Path: page, Role: "admin", Overview: told, Receivers: failing, Notices: b.failures()},
		{Name: "notifications-policy", About: "A policy file names receivers; one there is not, one is off.", Path: page, Role: "operator", Overview: named, Receivers: plain, Notices: b.notices()},
		{Name: "notifications-viewer", About: "A viewer reads.", Path: page, Role: "viewer", Alike: true, Overview: told, Receivers: plain, Notices: b.notices()[:2]},
		{Name: "notifications-hostile", About: "Text of strangers stays text.", Path: page, Role: "admin", Alike: true, Overview: told, Receivers: hostile, Notices: b.hostileNotices()},
		{Name: "notifications-new", About: "The form for a new receiver. Saving answers with a fault.", Path: form, Role: "admin", Overview: told},
		{Name: "notifications-fault", About: "A stored receiver that this version reads more strictly.", Path: page + "/ops/edit", Role: "admin", Overview: told, Receivers: broken},
		{Name: "notifications-remove", About: "The question before a receiver is removed.", Path: page + "/ops/remove", Role: "admin", Overview: told, Receivers: failing},
		{Name: "receiver-silent", About: "Admins are told on the Fleet page that somebody is not told.", Role: "admin", Alike: true, Overview: silent},
	}
}

func (b book) receivers() []fleet.Receiver {
	var all []fleet.NoticeKind
	for _, k := range fleet.NoticeKinds() {
		all = append(all, k.Kind)
	}
	return []fleet.Receiver{
		{
			ID: 1, Name: "ops", Service: "Slack", Enabled: true, ChangedBy: "alice", ChangedAt: b.ago(9 * 24 * time.Hour), LastSent: b.ago(4 * time.Minute),
			Rule: fleet.ReceiverRule{On: fleet.UsualNotices()},
		},
		{
			ID: 2, Name: "mail", Service: "E-mail", InFile: true, Enabled: true, ChangedBy: "alice", ChangedAt: b.ago(40 * 24 * time.Hour), LastSent: b.ago(6 * time.Hour), Waiting: 3,
			Rule: fleet.ReceiverRule{On: all, Repos: []string{"aurora/nixcfg"}, TZ: "Europe/Vienna", DigestAt: "08:00", QuietFrom: "22:00", QuietTo: "07:00"},
		},
		{
			ID: 3, Name: "oncall", Service: "ntfy", ChangedBy: "bob", ChangedAt: b.ago(2 * 24 * time.Hour),
			Rule: fleet.ReceiverRule{On: []fleet.NoticeKind{fleet.NoticeHalted, fleet.NoticeHostReverted}, Least: fleet.SeverityError},
		},
	}
}

// notices are deliveries in every state.
func (b book) notices() []fleet.NoticeShown {
	return []fleet.NoticeShown{
		{ID: 9, Receiver: "ops", Kind: fleet.NoticeTest, Title: "NixFleet can reach you", Link: "/settings/notifications", At: b.ago(40 * time.Second), DueAt: b.ago(40 * time.Second), State: "waiting"},
		{ID: 8, Receiver: "ops", Kind: fleet.NoticeSucceeded, Title: "Deployed 9/9 hosts", Link: "/rollouts/01JD8Q6Z3YV5K2M4N7P9R1S3T5", At: b.ago(4 * time.Minute), DueAt: b.ago(4 * time.Minute), State: "sent", Attempts: 1},
		{ID: 7, Receiver: "mail", Kind: fleet.NoticeSucceeded, Title: "Deployed 9/9 hosts", Link: "/rollouts/01JD8Q6Z3YV5K2M4N7P9R1S3T5", At: b.ago(4 * time.Minute), DueAt: b.now.Add(19 * time.Hour), State: "waiting"},
		{ID: 6, Receiver: "ops", Kind: fleet.NoticeMerged, Title: "Merged update #42", Link: "/updates/aurora/nixcfg/42", At: b.ago(19 * time.Minute), DueAt: b.ago(19 * time.Minute), State: "sent", Attempts: 3},
		{ID: 5, Receiver: "oncall", Kind: fleet.NoticeHalted, Title: "Deployment halted: 1 of 9 hosts failed", Link: "/rollouts/01JD8Q6Z3YV5K2M4N7P9R1S3T4", At: b.ago(50 * time.Hour), DueAt: b.ago(50 * time.Hour), State: "dropped", Error: "The receiver was switched off."},
	}
}

func (b book) failures() []fleet.NoticeShown {
	return []fleet.NoticeShown{
		{ID: 9, Receiver: "ops", Kind: fleet.NoticeHostReverted, Title: "web2 went back to what it ran before", Link: "/hosts/web2", At: b.ago(2 * time.Hour), DueAt: b.ago(2 * time.Hour), State: "waiting", Attempts: 12, Error: "failed to send notification: server returned 403 Forbidden"},
		{ID: 8, Receiver: "ops", Kind: fleet.NoticeMerged, Title: "Merged update #41", Link: "/updates/aurora/nixcfg/41", At: b.ago(30 * time.Hour), DueAt: b.ago(30 * time.Hour), State: "failed", Attempts: 290, Error: "no answer in time"},
	}
}

func (b book) hostileNotices() []fleet.NoticeShown {
	n := b.failures()[:1]
	n[0].Title, n[0].Error, n[0].Receiver = "<b>bold</b><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<script>alert(1)</script>"
	return n
}
