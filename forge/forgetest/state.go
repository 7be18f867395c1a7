package forgetest

import (
	"fmt"
	"strings"
	"time"
)

// Ids that the real github.com uses for its own accounts and Apps.
const (
	actionsAppID  = 15368    // the App behind GITHUB_TOKEN
	actionsBotID  = 41898282 // github-actions[bot]
	renovateBotID = 29139614 // renovate[bot]
	webFlowID     = 19864447 // web-flow, the committer of merges made on the site
)

// state is everything that github.com would keep in its databases.
type state struct {
	extra         extraPages
	lastID        int64
	users         map[string]*user // by lower-case login
	apps          map[string]*app  // by slug
	self          *app
	installations map[int64]*installation
	repos         map[int64]*repository
	byName        map[string]int64  // lower-case full name
	moved         map[string]int64  // former names
	tokens        map[string]*token // installation tokens
	manifests     map[string]manifest
	signIns       signIns
	events        []string // that the App is subscribed to
	hookURL       string
	hookSecret    string
	routes        []route
	calls         map[string]*Calls
	used          int // of the hourly rate limit
	onRequest     func(r requestInfo)
}

type user struct {
	id          int64
	login, kind string // kind: User, Bot or Organization
	created     time.Time
}

type app struct {
	id         int64
	slug, name string
	owner      *user
	created    time.Time
}

type installation struct {
	id               int64
	account          *user
	repos            map[int64]bool
	permissions      map[string]string
	suspended        time.Time
	created, updated time.Time
}

type repository struct {
	id               int64
	owner            *user
	name             string
	private          bool
	parent           *repository // of a fork
	defaultBranch    string
	created, pushed  time.Time
	git              gitDir
	inst             *installation
	methods          map[string]bool
	deleteOnMerge    bool
	noProtectionPlan bool
	nextNumber       int
	pulls            map[int]*pull
	labels           []*label
	suites           []*suite
	runs             []*checkRun
	workflows        []*workflowRun
	flows            []*flow
	dispatches       []Dispatch
	statuses         []*status
	comments         []*comment
	deployments      []*deployment
	protection       map[string]Protection // by branch
	rules            map[string][]Rule
	permissions      map[string]string // by lower-case login
	verified         map[string]bool   // commits signed by web-flow or a known key
}

func (r *repository) fullName() string { return r.owner.login + "/" + r.name }

type label struct {
	id          int64
	name, color string
}

func newState(appID int64, slug string, now time.Time) state {
	s := state{
		lastID: 1_000_000,
		users:  map[string]*user{}, apps: map[string]*app{}, installations: map[int64]*installation{},
		repos: map[int64]*repository{}, byName: map[string]int64{}, moved: map[string]int64{},
		tokens: map[string]*token{}, manifests: map[string]manifest{}, signIns: signIns{codes: map[string]signInCode{}, tokens: map[string]*user{}}, events: events, calls: map[string]*Calls{},
	}
	github := s.addUser("github", "Organization", 9919, now)
	s.addUser("github-actions[bot]", "Bot", actionsBotID, now)
	s.addUser("renovate[bot]", "Bot", renovateBotID, now)
	s.addUser("web-flow", "User", webFlowID, now)
	s.addUser(slug+"[bot]", "Bot", 0, now)
	s.apps["github-actions"] = &app{actionsAppID, "github-actions", "GitHub Actions", github, now}
	s.self = &app{appID, slug, slug, s.addUser(slug+"-maker", "User", 0, now), now}
	s.apps[slug] = s.self
	return s
}

func (s *state) newID() int64 {
	s.lastID++
	return s.lastID
}

// addUser returns the account, creating it on first mention: people need no
// ceremony before they act.
func (s *state) addUser(login, kind string, id int64, now time.Time) *user {
	if u := s.users[strings.ToLower(login)]; u != nil {
		return u
	}
	if id == 0 {
		id = s.newID()
	}
	u := &user{id, login, kind, now.UTC().Truncate(time.Second)}
	s.users[strings.ToLower(login)] = u
	return u
}

// person is the account with this login; "x[bot]" is a bot.
func (s *Server) person(login string) *user {
	kind := "User"
	if strings.HasSuffix(login, "[bot]") {
		kind = "Bot"
	}
	return s.addUser(login, kind, 0, s.now())
}

// bot is the account that the App itself acts as.
func (s *Server) bot() *user { return s.person(s.self.slug + "[bot]") }

func (s *Server) appBySlug(slug string) *app {
	if a := s.apps[slug]; a != nil {
		return a
	}
	a := &app{s.newID(), slug, slug, s.person(slug + "-maker"), s.now()}
	s.apps[slug] = a
	return a
}

func (u *user) email() string { return fmt.Sprintf("%d+%s@users.noreply.github.com", u.id, u.login) }

func (u *user) ident(at time.Time) ident { return ident{u.login, u.email(), at} }
