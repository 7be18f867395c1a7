package dashboard

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// receiverForm is the page on which a receiver is made or changed.
type receiverForm struct {
	Page   page
	wish   fleet.ReceiverWish
	was    string // the name under which it is known; empty for a new one
	faults fleet.ReceiverFaults
	again  bool // an address was sent, and has to be entered again
}

// fault is what is wrong with a field; empty where nothing is.
func (f receiverForm) fault(field string) string {
	var said []string
	for _, x := range f.faults {
		if x.Field == field {
			said = append(said, title(x.Text))
		}
	}
	return strings.Join(said, " ")
}

// seen is what a save replaces.
func (f receiverForm) seen() string {
	if f.wish.Seen.IsZero() {
		return ""
	}
	return f.wish.Seen.UTC().Format(time.RFC3339Nano)
}

func (f receiverForm) heading() string {
	if f.was == "" {
		return "Add a receiver"
	}
	return "Change " + f.was
}

// picks reports whether the receiver is told a kind.
func (f receiverForm) picks(k fleet.NoticeKind) bool { return slices.Contains(f.wish.Rule.On, k) }

// digest is which kind of digest there is.
func (f receiverForm) digest() string {
	switch {
	case f.wish.Rule.DigestAt != "":
		return "daily"
	case f.wish.Rule.Every > 0:
		return "hours"
	}
	return ""
}

// urgent is from where on nothing waits.
func (f receiverForm) urgent() string {
	switch {
	case f.wish.Rule.Patient:
		return "none"
	case f.wish.Rule.Urgent != "":
		return string(f.wish.Rule.Urgent)
	}
	return string(fleet.SeverityError)
}

// special reports whether the receiver has words of its own.
func (f receiverForm) special() bool { return f.wish.Rule.Title != "" || f.wish.Rule.Body != "" }

// sample is what a message looks like, in the receiver's words where they are right.
func (f receiverForm) sample() fleet.Message {
	r := fleet.Receiver{Name: f.wish.Name, Rule: f.wish.Rule}
	if f.fault("title") != "" {
		r.Rule.Title = ""
	}
	if f.fault("body") != "" {
		r.Rule.Body = ""
	}
	return r.Message(fleet.SampleNotice(fleet.NoticeSucceeded), fleet.NoticeSucceeded, "")
}

// noticeGroups are the headings of the events.
var noticeGroups = []struct{ group, name string }{{"updates", "Updates"}, {"rollouts", "Rollouts"}, {"hosts", "Hosts"}, {"server", "Server"}}

func kindsOf(group string) []fleet.NoticeKindInfo {
	return slices.DeleteFunc(fleet.NoticeKinds(), func(k fleet.NoticeKindInfo) bool { return k.Group != group })
}

func severityLook(s fleet.Severity) look {
	switch s {
	case fleet.SeverityError:
		return look{"error", "error", "error"}
	case fleet.SeverityWarning:
		return look{"stale", "stale", "warning"}
	}
	return look{"idle", "ok", "info"}
}

func (d *Dashboard) newReceiver(w http.ResponseWriter, r *http.Request, who visitor) {
	d.showForm(w, r, who, http.StatusOK, receiverForm{wish: fleet.ReceiverWish{
		Enabled: true, Rule: fleet.ReceiverRule{On: fleet.UsualNotices()}, Request: pressKey(),
	}})
}

func (d *Dashboard) editReceiver(w http.ResponseWriter, r *http.Request, who visitor) {
	v, ok := d.findReceiver(w, r)
	if !ok {
		return
	}
	d.showForm(w, r, who, http.StatusOK, receiverForm{
		was: v.Name, faults: v.Rule.Validate(), // a later version may read more strictly
		wish: fleet.ReceiverWish{ID: v.ID, Name: v.Name, InFile: v.InFile, Enabled: v.Enabled, Rule: v.Rule, Seen: v.ChangedAt},
	})
}

func (d *Dashboard) showForm(w http.ResponseWriter, r *http.Request, who visitor, status int, f receiverForm) {
	if who.role != RoleAdmin {
		d.answer(w, r, notice{http.StatusForbidden, "Read-only: receivers need the admin role, yours is " + who.role + "."})
		return
	}
	n := f.Page.Notice
	f.Page = d.page(w, r, who)
	f.Page.At = "settings"
	if n.Text != "" {
		f.Page.Notice = n
	}
	f.wish.Address = "" // never shown again
	d.show(w, r, status, receiverFormPage(f))
}

// saveReceiver makes or changes a receiver. Whatever is wrong, the form comes back with
// what the person wrote, apart from the address.
func (d *Dashboard) saveReceiver(w http.ResponseWriter, r *http.Request, who visitor) {
	if who.role != RoleAdmin {
		d.answer(w, r, notice{http.StatusForbidden, "Read-only: receivers need the admin role, yours is " + who.role + "."})
		return
	}
	err := r.ParseForm()
	var f receiverForm
	if err == nil {
		f, err = readReceiver(r.PostForm)
	}
	if err != nil {
		d.answer(w, r, notice{http.StatusBadRequest, "The form did not arrive whole, so nothing was saved. Go back and try again."})
		return
	}
	f.again = f.wish.Address != ""
	err = d.cfg.Receivers.SaveReceiver(r.Context(), who.actor, f.wish)
	if err == nil {
		d.cfg.Log.Info().Ctx(r.Context()).Str("receiver", f.wish.Name).Str("actor", who.actor.Login).Msg("receiver saved")
		d.wake()
		d.flash(w, notice{http.StatusOK, "Saved. Send a test to see that it arrives."})
		http.Redirect(w, r, notificationsPath, http.StatusSeeOther)
		return
	}
	var refused Refused
	switch {
	case errors.As(err, &f.faults):
		f.Page.Notice = notice{http.StatusUnprocessableEntity, "Not saved: " + plural(len(f.faults), "entry is", "entries are") + " not right. They are marked below."}
	case errors.Is(err, ErrChanged):
		f.Page.Notice = notice{http.StatusConflict, "Not saved: somebody else has changed this receiver since you began. Open it anew in another tab to compare."}
	case errors.Is(err, ErrUnknown):
		f.Page.Notice = notice{http.StatusNotFound, "Not saved: somebody else has removed this receiver. Add it again if it is still wanted."}
	case errors.As(err, &refused):
		f.Page.Notice = notice{http.StatusConflict, "Not saved: " + refused.Error()}
	default:
		d.cfg.Log.Error().Ctx(r.Context()).Err(err).Str("receiver", f.wish.Name).Msg("save a receiver")
		f.Page.Notice = notice{http.StatusServiceUnavailable, "Not saved, because the database did not answer. Try again."}
	}
	d.showForm(w, r, who, f.Page.Notice.Status, f)
}

// readReceiver reads a form. What people can get wrong is left to who saves it.
func readReceiver(form url.Values) (receiverForm, error) {
	f := receiverForm{was: form.Get("was")}
	f.wish = fleet.ReceiverWish{
		Name: strings.TrimSpace(form.Get("name")), Address: strings.TrimSpace(form.Get("address")), InFile: form.Get("where") == "file",
		Enabled: form.Has("enabled"), Request: form.Get("key"),
	}
	if f.wish.InFile {
		f.wish.Address = ""
	}
	var err error
	if id := form.Get("id"); id != "" {
		if f.wish.ID, err = strconv.ParseInt(id, 10, 64); err != nil {
			return f, err
		}
	}
	if seen := form.Get("seen"); seen != "" {
		if f.wish.Seen, err = time.Parse(time.RFC3339Nano, seen); err != nil {
			return f, err
		}
	}
	r := &f.wish.Rule
	r.On = []fleet.NoticeKind{}
	for _, word := range form["on"] {
		r.On = append(r.On, fleet.NoticeKind(word))
	}
	r.Least, r.Repos = fleet.Severity(form.Get("least")), strings.FieldsFunc(form.Get("repos"), func(c rune) bool { return c == ',' || c == ' ' || c == '\n' || c == '\r' })
	r.Title, r.Body = strings.TrimSpace(form.Get("title")), strings.TrimSpace(strings.ReplaceAll(form.Get("body"), "\r\n", "\n"))
	r.TZ, r.QuietFrom, r.QuietTo = strings.TrimSpace(form.Get("tz")), strings.TrimSpace(form.Get("quiet_from")), strings.TrimSpace(form.Get("quiet_to"))
	switch form.Get("digest") {
	case "daily":
		if r.DigestAt = strings.TrimSpace(form.Get("digest_at")); r.DigestAt == "" {
			r.DigestAt = "08:00"
		}
	case "hours":
		if r.Every, err = strconv.Atoi(strings.TrimSpace(form.Get("digest_every"))); err != nil {
			r.Every = 13 // refused, with how many may be asked for
		}
	}
	switch urgent := form.Get("urgent"); urgent {
	case "none":
		r.Patient = true
	default:
		r.Urgent = fleet.Severity(urgent)
	}
	return f, nil
}
