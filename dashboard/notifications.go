package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/nixfleet/nixfleet/fleet"
)

// Receivers is who is told what happens. Addresses go in, and never come out.
type Receivers interface {
	// Receivers lists them by name.
	Receivers(ctx context.Context) ([]fleet.Receiver, error)
	// Notices are the newest notices to all of them, newest first.
	Notices(ctx context.Context) ([]fleet.NoticeShown, error)
	// SaveReceiver makes or changes one. What is wrong with it is [fleet.ReceiverFaults];
	// one that was changed since it was seen is [ErrChanged], one that is not there any
	// more [ErrUnknown], every other reason for people [Refused].
	SaveReceiver(ctx context.Context, by fleet.Actor, w fleet.ReceiverWish) error
	// RemoveReceiver and TestReceiver answer [ErrUnknown] where there is none of that name.
	RemoveReceiver(ctx context.Context, by fleet.Actor, name string) error
	TestReceiver(ctx context.Context, by fleet.Actor, name string) error
}

const notificationsPath = "/settings/notifications"

func (d *Dashboard) notificationRoutes(mux *http.ServeMux) {
	d.live(mux, notificationsPath, d.notificationsLive())
	mux.Handle("GET "+notificationsPath+"/new", d.signedIn(d.newReceiver))
	mux.Handle("GET "+notificationsPath+"/{receiver}/edit", d.signedIn(d.editReceiver))
	mux.Handle("POST "+notificationsPath, d.signedIn(d.saveReceiver))
	mux.Handle("GET "+notificationsPath+"/{receiver}/remove", d.signedIn(d.askRemoveReceiver))
	mux.Handle("POST "+notificationsPath+"/{receiver}/remove", d.press(RoleAdmin, d.removeReceiver))
	mux.Handle("POST "+notificationsPath+"/{receiver}/test", d.press(RoleAdmin, d.testReceiver))
}

// receiverPath is an address of one receiver.
func receiverPath(name, what string) templ.SafeURL {
	return templ.URL(notificationsPath + "/" + url.PathEscape(name) + "/" + what)
}

func (d *Dashboard) notificationsLive() livePage {
	return livePage{
		topic: func(*http.Request) (topic, error) {
			return topic{key: notificationsPath, regions: d.notificationRegions}, nil
		},
		show: func(_ *http.Request, p page, b board) templ.Component {
			p.At = "settings"
			return notificationsPage(p, b)
		},
	}
}

func (d *Dashboard) notificationRegions(ctx context.Context, s scene) ([]liveRegion, error) {
	list, err := d.cfg.Receivers.Receivers(ctx)
	if err != nil {
		return nil, err
	}
	notices, err := d.cfg.Receivers.Notices(ctx)
	if err != nil {
		return nil, err
	}
	told := liveRegion{id: "receivers"}
	for _, r := range list {
		told.parts = append(told.parts, live{fmt.Sprintf("r-%d", r.ID), receiverCard(r, d.build)})
	}
	if len(list) == 0 {
		told.parts = append(told.parts, live{"r-none", noReceivers()})
	}
	rules := liveRegion{id: "rules"}
	if named := namedBy(s.o.Repos, list); len(named) > 0 {
		rules.parts = append(rules.parts, live{"rules-card", namedCard(named)})
	}
	sent := liveRegion{id: "deliveries"}
	for _, n := range notices {
		sent.parts = append(sent.parts, live{fmt.Sprintf("d-%d", n.ID), deliveryRow(n)})
	}
	if len(notices) == 0 {
		sent.parts = append(sent.parts, live{"d-none", noDeliveries()})
	}
	return []liveRegion{told, rules, sent}, nil
}

// naming is what the policy of a repository says of a receiver.
type naming struct {
	repo    fleet.Repo
	to      string
	on      []string
	missing bool // there is no receiver of that name
	off     bool
}

func namedBy(repos []fleet.RepoView, list []fleet.Receiver) []naming {
	var all []naming
	for _, r := range repos {
		if r.Policy == nil {
			continue
		}
		for _, rule := range r.Policy.Notify {
			i := slices.IndexFunc(list, func(v fleet.Receiver) bool { return v.Name == rule.To })
			all = append(all, naming{repo: r.Repo, to: rule.To, on: rule.On, missing: i < 0, off: i >= 0 && !list[i].Enabled})
		}
	}
	return all
}

func (d *Dashboard) removeReceiver(r *http.Request, who visitor) (pressed, error) {
	name := r.PathValue("receiver")
	err := d.cfg.Receivers.RemoveReceiver(r.Context(), who.actor, name)
	if errors.Is(err, ErrUnknown) {
		err = nil // a second press, or somebody else's
	}
	return pressed{"The receiver " + name + " is removed; nothing more is sent to it.", notificationsPath}, err
}

func (d *Dashboard) testReceiver(r *http.Request, who visitor) (pressed, error) {
	name := r.PathValue("receiver")
	err := d.cfg.Receivers.TestReceiver(r.Context(), who.actor, name)
	return pressed{"A test is on its way to " + name + "; what comes of it shows under Recently.", notificationsPath}, err
}

func (d *Dashboard) askRemoveReceiver(w http.ResponseWriter, r *http.Request, who visitor) {
	v, ok := d.findReceiver(w, r)
	if !ok {
		return
	}
	a := asking{
		title: "Remove " + v.Name + "?", rows: removeRows(v), post: string(receiverPath(v.Name, "remove")), confirm: "Remove " + v.Name, danger: true,
	}
	if who.role != RoleAdmin {
		a.stops = "Read-only: this needs the admin role, yours is " + who.role + "."
	}
	d.ask(w, r, who, a)
}

// findReceiver finds the receiver of an address; where there is none it has answered.
func (d *Dashboard) findReceiver(w http.ResponseWriter, r *http.Request) (fleet.Receiver, bool) {
	list, err := d.cfg.Receivers.Receivers(r.Context())
	if err != nil {
		d.cfg.Log.Error().Ctx(r.Context()).Err(err).Msg("list receivers")
		d.answer(w, r, notice{http.StatusServiceUnavailable, "The receivers could not be read, because the database did not answer. Try again."})
		return fleet.Receiver{}, false
	}
	for _, v := range list {
		if v.Name == r.PathValue("receiver") {
			return v, true
		}
	}
	d.notFound(w, r, "There is no receiver of this name, or not any more.")
	return fleet.Receiver{}, false
}

// receiverLook is how a receiver is.
func receiverLook(r fleet.Receiver) look {
	switch {
	case !r.Enabled:
		return look{"idle", "pause", "Off"}
	case !r.FailingSince.IsZero():
		return look{"error", "error", "Can’t be reached"}
	case r.LastSent.IsZero():
		return look{"unknown", "unknown", "Never used"}
	}
	return look{"ok", "ok", "Works"}
}

func deliveryLook(n fleet.NoticeShown) look {
	switch {
	case n.State == "sent":
		return look{"ok", "ok", "Sent"}
	case n.State == "failed":
		return look{"error", "error", "Given up"}
	case n.State == "dropped":
		return look{"idle", "blocked", "Not sent"}
	case n.Attempts > 0:
		return look{"stale", "stale", "Tried again"}
	}
	return look{"working", "clock", "Waits"}
}

// receiverEvents says in a few words what a receiver is told.
func receiverEvents(r fleet.ReceiverRule) string {
	said := fmt.Sprintf("%d of %d events", len(r.On), len(fleet.NoticeKinds()))
	switch {
	case len(r.On) == 0:
		return "Only what policies name it for"
	case len(r.On) == len(fleet.NoticeKinds()):
		said = "Every event"
	case len(r.On) <= 4:
		words := make([]string, len(r.On))
		for i, k := range r.On {
			words[i] = kindName(k)
		}
		said = strings.Join(words, ", ")
	}
	if r.Least == fleet.SeverityWarning || r.Least == fleet.SeverityError {
		said += ", from " + string(r.Least) + " on"
	}
	if len(r.Repos) > 0 {
		said += ", of " + strings.Join(r.Repos, ", ")
	}
	return said
}

// kindName is an event's word as people write it.
func kindName(k fleet.NoticeKind) string {
	return strings.ReplaceAll(title(strings.ReplaceAll(string(k), "_", " ")), "Github", "GitHub")
}

// receiverTiming says when a receiver is told.
func receiverTiming(r fleet.ReceiverRule) string {
	var parts []string
	switch {
	case r.DigestAt != "":
		parts = append(parts, "digest at "+r.DigestAt)
	case r.Every == 1:
		parts = append(parts, "digest every hour")
	case r.Every > 1:
		parts = append(parts, "digest every "+strconv.Itoa(r.Every)+" hours")
	}
	if r.QuietFrom != "" {
		parts = append(parts, "quiet "+r.QuietFrom+"–"+r.QuietTo)
	}
	if len(parts) == 0 {
		return "At once"
	}
	zone := r.TZ
	if zone == "" {
		zone = "UTC"
	}
	said := title(strings.Join(parts, ", ")) + " (" + zone + ")"
	switch {
	case r.Patient:
		return said + "; everything waits"
	case r.Urgent == fleet.SeverityInfo:
		return said + "; nothing waits"
	case r.Urgent == fleet.SeverityWarning:
		return said + "; warnings and errors don’t wait"
	}
	return said + "; errors don’t wait"
}

// moment is a time that may lie on another day.
func moment(t time.Time) string { return t.UTC().Format("2 Jan 15:04 UTC") }
