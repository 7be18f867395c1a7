package dashboard

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/nixfleet/nixfleet/fleet"
)

// Newcomers is how hosts come into the fleet.
type Newcomers interface {
	// Enrol adds a host and returns its one-time token, which is kept nowhere in clear,
	// and when it expires. One that waits already gets another token in place of the
	// old. A name that an enrolled host has is [ErrTaken]; with again it enrols anew, and
	// its key is revoked.
	Enrol(ctx context.Context, by fleet.Actor, h fleet.Newcomer, again bool) (token string, expires time.Time, err error)
	// Newcomer tells how far a host has come; one that is not known is [ErrUnknown].
	Newcomer(ctx context.Context, name string) (fleet.Newcomer, error)
}

// ErrTaken says that a host has the name already.
var ErrTaken = errors.New("a host of this name is enrolled")

// platformChoices are the platforms as people choose them.
var platformChoices = []struct{ id, name, about string }{
	{"nixos", "NixOS", "A machine that runs NixOS; the agent is a systemd service."},
	{"darwin", "macOS", "A Mac with nix-darwin; the agent is a daemon of launchd."},
	{"home", "home-manager", "Only one person’s home, on Linux or macOS."},
}

// enrolView is the form for a new host.
type enrolView struct {
	Page     page
	Repos    []fleet.Repo
	Platform string
	Host     fleet.Host // as typed
	Tags     string     // as typed
	Repo     string
	Faults   map[string]string // by field
	Taken    bool              // an enrolled host has the name
	Waiting  *fleet.Newcomer   // it was added before, and its token is still good
}

// ticketView shows a one-time token, once.
type ticketView struct {
	Page    page
	Name    string
	Recipe  recipe
	Expires time.Time
	Board   board
}

// enrolForm reads the form as it was filled in; what is left out has its usual value.
func enrolForm(get func(string) string) enrolView {
	v := enrolView{Platform: get("platform"), Tags: get("tags"), Repo: get("repo"), Faults: map[string]string{}}
	if !known(v.Platform) {
		v.Platform = "nixos"
	}
	v.Host = fleet.Host{Name: strings.TrimSpace(get("name")), Attr: strings.TrimSpace(get("attr")), Mode: get("mode")}
	v.Host.Tags = strings.FieldsFunc(v.Tags, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' || r == '\r' })
	if v.Host.Mode == "" {
		v.Host.Mode = "fleet"
	}
	return v
}

func known(platform string) bool {
	for _, p := range platformChoices {
		if p.id == platform {
			return true
		}
	}
	return false
}

// suggested is the flake attribute of a host that names none.
func (v enrolView) suggested() string {
	name := v.Host.Name
	if name == "" {
		name = "NAME"
	}
	return v.Platform + "Configurations." + name
}

// at marks a field that has a fault, and names what says it.
func (v enrolView) at(field string) templ.Attributes {
	if v.Faults[field] == "" {
		return nil
	}
	return templ.Attributes{"aria-invalid": "true", "aria-describedby": field + "-fault"}
}

// agentLog is the command that shows what an agent says.
func agentLog(platform string) string {
	switch platform {
	case "darwin":
		return "tail -n 50 /var/log/nixfleet-agent.log"
	case "home":
		return "journalctl --user -eu nixfleet-agent"
	}
	return "journalctl -eu nixfleet-agent"
}

// enrolPath is the page on which a host is waited for.
func enrolPath(name string) string { return "/enroll/" + url.PathEscape(name) }

func (d *Dashboard) enrolPage(w http.ResponseWriter, r *http.Request, who visitor) {
	d.showEnrol(w, r, who, enrolForm(r.URL.Query().Get), http.StatusOK)
}

// showEnrol shows the form. The repositories are read anew; without them it would
// lead nowhere.
func (d *Dashboard) showEnrol(w http.ResponseWriter, r *http.Request, who visitor, v enrolView, status int) {
	var err error
	if v.Repos, err = d.cfg.Policies.Repos(r.Context()); err != nil {
		d.cfg.Log.Error().Ctx(r.Context()).Err(err).Msg("list repositories")
		d.answer(w, r, notice{http.StatusServiceUnavailable, "The repositories could not be read, because the database did not answer. Nothing was added; try again."})
		return
	}
	v.Page = d.page(w, r, who)
	v.Page.At = "fleet"
	d.show(w, r, status, enrolPage(v))
}

// enrol adds a host. The token is shown in this answer and nowhere else: not on a
// page with an address of its own, in no live region, log or line of history.
func (d *Dashboard) enrol(w http.ResponseWriter, r *http.Request, who visitor) {
	if err := r.ParseForm(); err != nil {
		d.answer(w, r, notice{http.StatusBadRequest, "The form did not arrive whole, so nothing was added. Go back and try again."})
		return
	}
	switch {
	case !who.may(RoleAdmin):
		d.answer(w, r, notice{http.StatusForbidden, "Read-only: hosts are added by people with the admin role, yours is " + who.role + "."})
		return
	case r.PostFormValue("build") != d.build:
		d.answer(w, r, notice{http.StatusConflict, "The dashboard was updated since this page was loaded. Go back, reload it, then press the button."})
		return
	}
	v := enrolForm(r.PostFormValue)
	if v.Host.Attr == "" {
		v.Host.Attr = v.suggested()
	}
	again, another := r.PostFormValue("again") == "yes", r.PostFormValue("another") == "yes"
	v.Faults = fleet.HostFaults(v.Host)
	if again {
		v.Faults = map[string]string{} // what is known of it stays
	}
	if len(v.Faults) == 0 && !again && !another {
		n, err := d.cfg.Newcomers.Newcomer(r.Context(), v.Host.Name)
		if err == nil && n.Waits() && n.Expires.After(d.cfg.Now()) {
			v.Waiting, v.Faults["name"] = &n, "It was added before and waits for its machine."
		} else if err != nil && !errors.Is(err, ErrUnknown) {
			d.cannotEnrol(w, r, v.Host.Name, err)
			return
		}
	}
	if len(v.Faults) > 0 {
		d.showEnrol(w, r, who, v, http.StatusUnprocessableEntity)
		return
	}
	token, expires, err := d.cfg.Newcomers.Enrol(r.Context(), who.actor, fleet.Newcomer{Host: v.Host, Repo: v.Repo}, again)
	refused, isRefused := errors.AsType[Refused](err)
	switch {
	case errors.Is(err, ErrTaken):
		v.Taken, v.Faults["name"] = true, "A host of this name is enrolled already."
	case errors.Is(err, ErrUnknown):
		v.Faults["name"] = "There is no host of this name (any more)."
	case isRefused:
		v.Faults["repo"] = title(refused.Error())
	case err != nil:
		d.cannotEnrol(w, r, v.Host.Name, err)
		return
	default:
		d.wake()
		d.showTicket(w, r, who, v.Host.Name, ticket{token, expires})
		return
	}
	d.showEnrol(w, r, who, v, http.StatusConflict)
}

func (d *Dashboard) cannotEnrol(w http.ResponseWriter, r *http.Request, host string, err error) {
	d.cfg.Log.Error().Ctx(r.Context()).Err(err).Str("host", host).Msg("add a host")
	d.answer(w, r, notice{http.StatusServiceUnavailable, "The host could not be added, because the database did not answer. Go back and try again."})
}

// ticket is what a machine enrols with.
type ticket struct {
	token   string
	expires time.Time
}

// showTicket shows a token with what to do with it, beside what becomes of it live.
func (d *Dashboard) showTicket(w http.ResponseWriter, r *http.Request, who visitor, name string, t ticket) {
	topic := d.newcomerTopic(name)
	b, err := d.look(r.Context(), topic)
	n := fleet.Newcomer{}
	if err == nil {
		n, err = d.cfg.Newcomers.Newcomer(r.Context(), name)
	}
	if err != nil {
		d.cannotEnrol(w, r, name, err)
		return
	}
	v := ticketView{Page: d.page(w, r, who), Name: name, Expires: t.expires, Board: b,
		Recipe: recipe{Platform: n.Host.Platform(), Server: d.cfg.PublicURL, Name: name, Token: t.token}}
	v.Page.At, v.Page.Live = "fleet", "/events"+topic.key
	d.show(w, r, http.StatusCreated, ticketPage(v))
}

// newcomerLive is the page on which a host is waited for.
func (d *Dashboard) newcomerLive() livePage {
	return livePage{
		topic: func(r *http.Request) (topic, error) { return d.newcomerTopic(r.PathValue("name")), nil },
		show: func(r *http.Request, p page, b board) templ.Component {
			p.At = "fleet"
			return newcomerPage(p, r.PathValue("name"), b)
		},
	}
}

// newcomerTopic is how far a host has come; its token is not a part of that.
func (d *Dashboard) newcomerTopic(name string) topic {
	return topic{key: enrolPath(name), regions: func(ctx context.Context, s scene) ([]liveRegion, error) {
		n, err := d.cfg.Newcomers.Newcomer(ctx, name)
		if err != nil {
			return nil, err
		}
		v := newcomerView{Newcomer: n, build: d.build, server: d.cfg.PublicURL, ended: !n.Expires.After(s.now)}
		for _, h := range s.o.Hosts {
			if h.Host.Name == name && !n.Waits() {
				host := s.host(h)
				v.host = &host
			}
		}
		return []liveRegion{{"newcomer", []live{{"newcomer-now", newcomer(v)}}}}, nil
	}}
}

// newcomerView is a host on its way as its page shows it.
type newcomerView struct {
	fleet.Newcomer
	build  string
	server string
	ended  bool      // the token's time is over, as of the last change
	host   *hostView // once it is enrolled
}

// connected reports whether its agent was heard.
func (v newcomerView) connected() bool { return v.host != nil && v.host.Host.Facts.AgentVersion != "" }
