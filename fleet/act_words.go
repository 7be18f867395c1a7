package fleet

import (
	"fmt"
	"slices"
	"strings"
)

// ActGroup is what a line of the history belongs to, for people who look for it.
type ActGroup string

// The groups.
const (
	ActUpdates  ActGroup = "updates"
	ActRollouts ActGroup = "rollouts"
	ActOrders   ActGroup = "orders"
	ActHosts    ActGroup = "hosts"
	ActLocks    ActGroup = "locks"
	ActSettings ActGroup = "settings"
	ActAccess   ActGroup = "access"
)

// ActGroups are all groups, in the order in which people are offered them.
var ActGroups = []ActGroup{ActUpdates, ActRollouts, ActOrders, ActHosts, ActLocks, ActSettings, ActAccess}

// Title is the name of a group.
func (g ActGroup) Title() string {
	return map[ActGroup]string{
		ActUpdates: "Updates and merges", ActRollouts: "Rollouts", ActOrders: "Orders to hosts", ActHosts: "Hosts",
		ActLocks: "Locks made by hosts", ActSettings: "Settings and set-up", ActAccess: "Access and keys",
	}[g]
}

// ActWords is how a kind of line reads.
type ActWords struct {
	Kind  string
	Group ActGroup
	Tone  Light  // ok, stale for what wants a look, error, working; unknown for what is neither
	Says  string // after the actor; {it} is what it is about, {name} a detail of it
}

// actWords holds every kind that is ever written; a test looks for others.
var actWords = []ActWords{
	{"update.observed", ActUpdates, LightUnknown, "took note of {it}"},
	{"update.checks", ActUpdates, LightWorking, "waits for the checks of {it}"},
	{"update.holding", ActUpdates, LightWorking, "began the hold of {it}"},
	{"update.ready", ActUpdates, LightUnknown, "found {it} ready, and waits for a person or a window"},
	{"update.merging", ActUpdates, LightWorking, "began to merge {it}"},
	{"update.merged", ActUpdates, LightOK, "merged {it}"},
	{"update.failing", ActUpdates, LightError, "found failing checks on {it}"},
	{"update.blocked", ActUpdates, LightError, "blocked {it}"},
	{"update.conflict", ActUpdates, LightError, "found a conflict in {it}"},
	{"update.closed", ActUpdates, LightUnknown, "closed {it}"},
	{"update.superseded", ActUpdates, LightUnknown, "found {it} superseded"},
	{"update.merge_requested", ActUpdates, LightUnknown, "asked to merge {it}"},
	{"update.look_asked", ActUpdates, LightUnknown, "asked for another look at {it}"},
	{"repo.check_asked", ActUpdates, LightUnknown, "asked to check {it} for updates"},
	{"workflow.started", ActUpdates, LightOK, "had the update workflow of {it} started"},
	{"workflow.not_started", ActUpdates, LightStale, "found no update workflow of {it} to start"},
	{"request.allowed", ActUpdates, LightOK, "asked for {action} on {it}"},
	{"request.denied", ActUpdates, LightStale, "was not allowed {action} on {it}"},
	{"request.void", ActUpdates, LightStale, "asked in vain for {action} on {it}"},
	{"request.ignored", ActUpdates, LightUnknown, "was passed over with {action} on {it}"},

	{"rollout.planned", ActRollouts, LightUnknown, "asked for {it}"},
	{"rollout.running", ActRollouts, LightWorking, "let {it} go on"},
	{"rollout.succeeded", ActRollouts, LightOK, "completed {it}"},
	{"rollout.paused", ActRollouts, LightStale, "paused {it}"},
	{"rollout.halted", ActRollouts, LightError, "halted {it}"},
	{"rollout.rolling_back", ActRollouts, LightWorking, "began to roll back {it}"},
	{"rollout.rolled_back", ActRollouts, LightStale, "rolled back {it}"},
	{"rollout.failed", ActRollouts, LightError, "gave up {it}"},
	{"rollout.aborted", ActRollouts, LightStale, "aborted {it}"},
	{"rollout.superseded", ActRollouts, LightUnknown, "put a newer rollout in the place of {it}"},
	{"rollout.host_excluded", ActRollouts, LightStale, "took {host} out of {it}"},
	{"rollout.revert", ActRollouts, LightStale, "proposed to take back the commit of {it}"},
	{"quarantine.set", ActRollouts, LightError, "put {it} into quarantine"},
	{"quarantine.lifted", ActRollouts, LightUnknown, "lifted the quarantine of {it}"},

	{"order.issued", ActOrders, LightUnknown, "ordered {kind} on {host}"},
	{"order.healthy", ActOrders, LightOK, "carried out {it}"},
	{"order.failed", ActOrders, LightError, "failed at {it}"},
	{"order.reverted", ActOrders, LightError, "went back by itself from {it}"},
	{"order.deferred", ActOrders, LightStale, "put off {it}"},
	{"order.offline", ActOrders, LightStale, "was away for {it}"},
	{"order.excluded", ActOrders, LightUnknown, "left out {it}"},
	{"order.cancelled", ActOrders, LightUnknown, "ended {it} before it was done"},
	{"order.waiting", ActOrders, LightUnknown, "waits with {it}"},
	{"order.ordered", ActOrders, LightUnknown, "was given {it}"},
	{"order.received", ActOrders, LightUnknown, "received {it}"},
	{"order.fetching", ActOrders, LightWorking, "fetches for {it}"},
	{"order.building", ActOrders, LightWorking, "builds for {it}"},
	{"order.switching", ActOrders, LightWorking, "switches for {it}"},
	{"order.verifying", ActOrders, LightWorking, "verifies {it}"},
	{"answer.unstorable", ActOrders, LightError, "sent an answer to {it} that could not be stored"},

	{"host.added", ActHosts, LightUnknown, "added {host}, which may now enrol"},
	{"host.enrolled", ActHosts, LightOK, "enrolled"},
	{"host.readmitted", ActHosts, LightStale, "let {host} enrol again"},
	{"host.revoked", ActHosts, LightStale, "revoked {host}"},
	{"host.changed", ActHosts, LightUnknown, "changed how {host} is treated"},
	{"host.key_changed", ActHosts, LightUnknown, "changed its key"},
	{"trouble.host_offline", ActHosts, LightStale, "has not heard {it} for a day"},
	{"trouble.recovered", ActHosts, LightOK, "found {it} well again"},
	{"evaluation.differs", ActHosts, LightError, "evaluates a commit to another path than another host did"},

	{"lock.received", ActLocks, LightUnknown, "sent {it}"},
	{"lock.proven", ActLocks, LightWorking, "proved {it}"},
	{"lock.committed", ActLocks, LightOK, "committed {it}"},
	{"lock.opened", ActLocks, LightOK, "opened a pull request with {it}"},
	{"lock.refused", ActLocks, LightError, "refused {it}"},
	{"lock.conflicted", ActLocks, LightStale, "found {it} overtaken by another commit"},
	{"lock.unusable", ActLocks, LightError, "sent a lock that is of no use"},

	{"settings.changed", ActSettings, LightUnknown, "changed the settings of {it}"},
	{"policy.proposed", ActSettings, LightUnknown, "opened a pull request with a policy file for {it}"},
	{"receiver.added", ActSettings, LightUnknown, "added {it}"},
	{"receiver.changed", ActSettings, LightUnknown, "changed {it}"},
	{"receiver.removed", ActSettings, LightStale, "removed {it}"},
	{"receiver.tested", ActSettings, LightUnknown, "sent a test to {it}"},
	{"trouble.policy_broken", ActSettings, LightError, "can’t read the policy of {it}"},
	{"trouble.webhooks_lost", ActSettings, LightStale, "misses webhooks of {it}"},
	{"trouble.github_unreadable", ActSettings, LightError, "can’t read {it}"},
	{"github_app.created", ActSettings, LightOK, "set up the GitHub App"},

	{"key.added", ActAccess, LightUnknown, "made {it}"},
	{"key.used", ActAccess, LightUnknown, "had {it} sign the orders from now on"},
	{"key.retired", ActAccess, LightStale, "retired {it}"},
	{"person.signed_in", ActAccess, LightOK, "signed in with the role {role}"},
	{"person.refused", ActAccess, LightStale, "was refused at the door"},
	{"person.role_changed", ActAccess, LightUnknown, "has another role: {to} instead of {from}"},
	{"session.ended", ActAccess, LightUnknown, "ended a session of {of}"},
	{"login.created", ActAccess, LightStale, "made a sign-in link with the role {role}"},
	{"token.created", ActAccess, LightUnknown, "made the token {name} with the role {role}"},
	{"token.revoked", ActAccess, LightStale, "revoked the token {name} of {of}"},
}

var wordsOfAct = func() map[string]ActWords {
	m := make(map[string]ActWords, len(actWords))
	for _, w := range actWords {
		m[w.Kind] = w
	}
	return m
}()

// Words is how a kind of line reads. One that this version does not know, since a
// newer one wrote it, has words as well; known is false then.
func Words(kind string) (w ActWords, known bool) {
	if w, known = wordsOfAct[kind]; known {
		return w, true
	}
	return ActWords{kind, "", LightUnknown, "did something that this version has no words for (" + kind + ") with {it}"}, false
}

// Kinds are the kinds of a group.
func (g ActGroup) Kinds() []string {
	var kinds []string
	for _, w := range actWords {
		if w.Group == g {
			kinds = append(kinds, w.Kind)
		}
	}
	return kinds
}

// actions are what people ask for on a pull request, as things.
var actions = map[string]string{
	"merge": "Merge & Deploy", "hold": "a hold", "unhold": "the release of the hold", "rerun": "another look",
}

// orderWords are the kinds of orders, as things.
var orderWords = map[string]string{
	"pull": "a pull", "switch": "a switch", "deploy": "a deploy", "test": "a test", "boot": "a switch at the next boot", "rollback": "a rollback",
	"restart_agent": "a restart of the agent", "reboot": "a reboot", "refresh": "a refresh", "update_inputs": "newer inputs", "cancel": "to cancel",
	"noop": "nothing, in the place of an order that was taken back",
}

// Text is what a line says as one sentence: "alice merged #42 of o/nixcfg".
func (a Act) Text() string {
	var b strings.Builder
	for _, p := range a.Parts() {
		b.WriteString(p.Text)
	}
	return b.String()
}

// ActPart is a piece of a line's sentence.
type ActPart struct {
	Text string
	Is   string // what it names: actor, it or host; empty for plain words
}

// Parts is what a line says, with what it names set apart.
func (a Act) Parts() []ActPart {
	w, _ := Words(a.Kind)
	parts := []ActPart{{a.Who(), "actor"}, {" ", ""}}
	for says := w.Says; says != ""; {
		plain, rest, found := strings.Cut(says, "{")
		if plain != "" {
			parts = append(parts, ActPart{plain, ""})
		}
		if !found {
			break
		}
		name, after, _ := strings.Cut(rest, "}")
		parts = append(parts, a.part(name))
		says = after
	}
	return parts
}

func (a Act) part(name string) ActPart {
	switch name {
	case "it":
		return ActPart{a.About(), "it"}
	case "host":
		return ActPart{orElse(a.Host, "a host"), "host"}
	case "action":
		said := a.detail("action")
		return ActPart{orElse(actions[said], orElse(said, "something")), ""}
	case "kind":
		said := a.detail("kind")
		return ActPart{orElse(orderWords[said], orElse(said, "something")), ""}
	}
	return ActPart{a.detail(name), ""}
}

func (a Act) detail(name string) string {
	if s, ok := a.Detail[name].(string); ok {
		return PlainLine(s, 200)
	}
	return ""
}

// Who names the actor for people.
func (a Act) Who() string {
	switch a.Actor {
	case "policy":
		return "The policy"
	case "push":
		return "A push"
	case "github":
		return "GitHub"
	case "":
		return "NixFleet"
	}
	return strings.TrimPrefix(a.Actor, "host:")
}

// Person reports whether a person did it.
func (a Act) Person() bool {
	return !slices.Contains([]string{"", "policy", "push", "github"}, a.Actor) && !strings.HasPrefix(a.Actor, "host:")
}

// Through says by which way it was done.
func (a Act) Through() string {
	switch a.Way {
	case WayPage:
		return "on the dashboard"
	case WayAPI:
		return "through the API"
	case WayComment:
		return "in a comment"
	case WayCheck:
		return "on the check run"
	}
	switch {
	case strings.HasPrefix(a.Actor, "host:"):
		return "by the host"
	case a.Actor == "policy":
		return "by itself"
	case a.Actor == "push" || a.Actor == "github":
		return "from GitHub"
	}
	return ""
}

// About names what a line is about.
func (a Act) About() string {
	what, id, _ := strings.Cut(a.Subject, "/")
	switch {
	case what == "update" && a.Number > 0:
		return strings.TrimSuffix(fmt.Sprintf("#%d of %s", a.Number, a.Repo), " of ")
	case what == "update":
		return "an update"
	case what == "rollout" && len(id) > 6:
		return "rollout " + id[len(id)-6:]
	case what == "order" && a.Host != "":
		return "an order of " + a.Host
	case what == "commit":
		return "commit " + shortSHA(id)
	case what == "lock":
		return strings.TrimSuffix("a lock for "+a.Repo, " for ")
	case what == "receiver":
		return "receiver " + orElse(a.detail("name"), id)
	case a.Subject == "github":
		return "GitHub"
	case a.Subject == "fleet":
		return "several hosts"
	case what == "repo" && id != "":
		return PlainLine(id, 100)
	case what == "key":
		return "order key " + PlainLine(id, 60)
	case what == "host", what == "order", what == "rollout":
		return orElse(PlainLine(id, 100), what)
	case strings.HasPrefix(a.Subject, "repo:"):
		return orElse(a.Repo, a.Subject)
	}
	return PlainLine(a.Subject, 100)
}
