package dashboard

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// Setup is the way from an empty server to the first repository.
type Setup interface {
	// Setup says how far it has come.
	Setup(ctx context.Context) (SetupState, error)
	// Visit prepares one visit to GitHub's page for new Apps: the manifest, as JSON,
	// and the state that has to come back with the code.
	Visit(ctx context.Context, actor fleet.Actor) (manifest, state string, err error)
	// Return ends a visit: the code is exchanged for the App, and the product begins.
	// It fails with a [Refused] for every reason meant for people.
	Return(ctx context.Context, actor fleet.Actor, code, state string) error
	// ProposePolicy opens the pull request with the policy file, or finds the one that
	// was opened before. Errors are as with Return.
	ProposePolicy(ctx context.Context, actor fleet.Actor, repoID int64) error
}

// SetupState is how far the set-up has come.
type SetupState struct {
	PublicURL string
	Local     bool      // GitHub can't reach PublicURL
	App       *SetupApp // nil where there is none yet
	Problem   string    // what keeps it from going on, and what to do
	Repos     []SetupRepo
	LastHook  time.Time // when the newest webhook came; zero: never
	Hosts     int
}

// SetupApp is the GitHub App.
type SetupApp struct {
	Slug     string
	Page     string // on GitHub
	Settings bool   // named by the server's settings, not created here
}

// SetupRepo is a repository that the App is installed on.
type SetupRepo struct {
	ID     int64
	Name   string // owner/name
	Policy string // see the Policy… constants
	URL    string // of the policy file or of the pull request
}

// What a repository has for a policy.
const (
	PolicyNone     = "none"     // the defaults hold
	PolicyFile     = "file"     // there is a file
	PolicyProposed = "proposed" // a pull request of ours is open
	PolicyDeclined = "declined" // somebody closed it
	PolicyUnknown  = "unknown"  // could not be read just now
)

// setupEvery is how often the page looks for a repository, in seconds.
const setupEvery = 4

// organisation is what GitHub allows as the name of an account.
var organisation = regexp.MustCompile(`^[A-Za-z0-9](-?[A-Za-z0-9]){0,38}$`)

// setupView is the set-up page.
type setupView struct {
	Page         page
	State        SetupState
	Notice       notice
	Organisation string
	Action       string // GitHub's page for new Apps
	Manifest     string
}

func (d *Dashboard) setupRoutes(mux *http.ServeMux) {
	mux.Handle("GET /setup", d.signedIn(d.forAdmins(d.setupPage)))
	mux.Handle("GET /setup/callback", d.signedIn(d.forAdmins(d.setupReturn)))
	mux.Handle("POST /setup/policy", d.signedIn(d.forAdmins(d.setupPolicy)))
}

// forAdmins keeps others from what changes the whole server.
func (d *Dashboard) forAdmins(next func(http.ResponseWriter, *http.Request, visitor)) func(http.ResponseWriter, *http.Request, visitor) {
	return func(w http.ResponseWriter, r *http.Request, who visitor) {
		if who.role != RoleAdmin {
			d.answer(w, r, notice{Status: http.StatusForbidden, Text: "Setting NixFleet up needs the admin role, yours is " + who.role + "."})
			return
		}
		next(w, r, who)
	}
}

func (d *Dashboard) setupPage(w http.ResponseWriter, r *http.Request, who visitor) {
	d.showSetup(w, r, who, notice{})
}

func (d *Dashboard) showSetup(w http.ResponseWriter, r *http.Request, who visitor, n notice) {
	state, err := d.cfg.Setup.Setup(r.Context())
	v := setupView{Page: d.page(w, r, who), State: state, Notice: n, Organisation: strings.TrimSpace(r.URL.Query().Get("org"))}
	if n.Text == "" {
		v.Notice = v.Page.Notice
	}
	if err == nil && state.App == nil {
		err = d.prepareVisit(w, r, who, &v)
	}
	if err != nil {
		d.cfg.Log.Error().Ctx(r.Context()).Err(err).Msg("show the set-up")
		d.answer(w, r, notice{Status: http.StatusServiceUnavailable, Text: "How far the set-up has come could not be read, because the database did not answer. Try again."})
		return
	}
	if state.App != nil && len(state.Repos) == 0 && v.Notice.Text == "" {
		w.Header().Set("Refresh", strconv.Itoa(setupEvery)) // also without script
	}
	status := http.StatusOK
	if v.Notice.Status >= 400 {
		status = v.Notice.Status
	}
	d.show(w, r, status, setupPage(v))
}

// prepareVisit makes the form that leads to GitHub, and lets the browser post there
// and nowhere else.
func (d *Dashboard) prepareVisit(w http.ResponseWriter, r *http.Request, who visitor, v *setupView) error {
	path := "/settings/apps/new"
	switch {
	case v.Organisation == "":
	case organisation.MatchString(v.Organisation):
		path = "/organizations/" + v.Organisation + path
	default:
		v.Notice = notice{Status: http.StatusBadRequest, Text: "That is not the name of an organisation on GitHub. It is the part after github.com/ in the address of its page."}
		v.Organisation = ""
	}
	manifest, state, err := d.cfg.Setup.Visit(r.Context(), who.actor)
	if err != nil {
		return err
	}
	to := strings.TrimRight(d.cfg.WebURL, "/") + path
	v.Manifest, v.Action = manifest, to+"?state="+url.QueryEscape(state)
	w.Header().Set("Content-Security-Policy", strings.Replace(policy, "form-action 'self'", "form-action 'self' "+to, 1))
	w.Header().Set("Referrer-Policy", "strict-origin") // so that the post has an origin
	return nil
}

// setupReturn is where GitHub sends the person back to, with the code of the App.
func (d *Dashboard) setupReturn(w http.ResponseWriter, r *http.Request, who visitor) {
	q := r.URL.Query()
	err := d.cfg.Setup.Return(r.Context(), who.actor, q.Get("code"), q.Get("state"))
	if err != nil {
		d.setupFailed(w, r, who, "finish the set-up", err)
		return
	}
	d.cfg.Log.Info().Ctx(r.Context()).Str("actor", who.actor.Login).Msg("the GitHub App was created")
	d.flash(w, notice{Status: http.StatusOK, Text: "The GitHub App exists, and NixFleet works as it from now on."})
	http.Redirect(w, r, "/setup", http.StatusSeeOther)
}

func (d *Dashboard) setupPolicy(w http.ResponseWriter, r *http.Request, who visitor) {
	id, err := strconv.ParseInt(r.PostFormValue("repo"), 10, 64)
	if err != nil {
		d.showSetup(w, r, who, notice{Status: http.StatusBadRequest, Text: "The request names no repository. Press the button on this page."})
		return
	}
	if err := d.cfg.Setup.ProposePolicy(r.Context(), who.actor, id); err != nil {
		d.setupFailed(w, r, who, "propose the policy file", err)
		return
	}
	http.Redirect(w, r, "/setup", http.StatusSeeOther)
}

// setupFailed shows the page again, with what went wrong.
func (d *Dashboard) setupFailed(w http.ResponseWriter, r *http.Request, who visitor, what string, err error) {
	n := notice{Status: http.StatusServiceUnavailable, Text: "This could not be done just now. The server’s log says why; try again."}
	var refused Refused
	if errors.As(err, &refused) {
		n = notice{Status: http.StatusConflict, Text: refused.Error()}
	}
	d.cfg.Log.Warn().Ctx(r.Context()).Err(err).Str("actor", who.actor.Login).Msg(what)
	d.showSetup(w, r, who, n)
}

// The steps of the set-up.
const (
	stepNow = iota
	stepDone
	stepLater
)

// step is where one of the four steps is; the last two are matters of taste.
func (v setupView) step(n int) int {
	created, installed := v.State.App != nil, len(v.State.Repos) > 0
	switch {
	case n == 0 && created, n == 1 && installed:
		return stepDone
	case n == 0, n == 1 && created, installed:
		return stepNow
	}
	return stepLater
}

// watched names the repositories for a sentence.
func (v setupView) watched() string {
	names := make([]string, len(v.State.Repos))
	for i, r := range v.State.Repos {
		names[i] = r.Name
	}
	return strings.Join(names, ", ")
}

// stepLook is a step's state in a pill.
func stepLook(state int) look {
	switch state {
	case stepDone:
		return look{"ok", "ok", "Done"}
	case stepLater:
		return look{"idle", "clock", "Later"}
	}
	return look{"working", "next", "Now"}
}

// account names whom the App will belong to.
func (v setupView) account() string {
	if v.Organisation != "" {
		return "the organisation " + v.Organisation
	}
	return "your own account"
}
