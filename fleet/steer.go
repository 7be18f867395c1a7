package fleet

import (
	"fmt"
	"slices"
	"strings"
)

// Verb is what a person can ask of a rollout as a whole.
type Verb string

// The verbs.
const (
	VerbPause    Verb = "pause"
	VerbResume   Verb = "resume"
	VerbAbort    Verb = "abort"
	VerbRollback Verb = "rollback"
)

// Verbs lists them.
func Verbs() []Verb { return []Verb{VerbPause, VerbResume, VerbAbort, VerbRollback} }

// verbs say which event each verb is, and in which states it is so already.
var verbs = map[Verb]struct {
	event   RolloutEvent
	past    string
	already []RolloutState
}{
	VerbPause:    {RolloutPause, "paused", []RolloutState{RolloutPaused}},
	VerbResume:   {RolloutResume, "resumed", []RolloutState{RolloutRunning}},
	VerbAbort:    {RolloutAbort, "aborted", []RolloutState{RolloutAborted}},
	VerbRollback: {RolloutRollBack, "rolled back", []RolloutState{RolloutRollingBack, RolloutRolledBack}},
}

// Past is what a rollout is once a verb was carried out, e.g. paused.
func (v Verb) Past() string { return verbs[v].past }

// Around is what is known around a rollout when a person wants something of it.
type Around struct {
	Hosts    map[string]Host // of its repository, as they are now
	Overtook string          // id of a rollout of another commit that has begun since; empty where none has
}

// Steered is what a verb comes to for one rollout.
type Steered struct {
	Already bool         // it is so already: nothing is left to do
	To      RolloutState // where the rollout goes
	Restore bool         // it has ended: another rollout brings back what was before it
	Why     string       // why it can't be, and what helps instead; empty where it can
}

// Steer finds out what a verb comes to for a rollout. What is around it matters only to
// a rollout that has ended.
func Steer(r Rollout, v Verb, near Around) Steered {
	does, known := verbs[v]
	switch {
	case !known:
		return Steered{Why: fmt.Sprintf("A rollout can't be asked to %s.", plain(string(v), 40))}
	case slices.Contains(does.already, r.State):
		return Steered{Already: true}
	case v == VerbRollback && r.State.Terminal():
		why := mayUndo(r, near)
		return Steered{Restore: why == "", Why: why}
	case v == VerbRollback && r.Kind == RolloutRestore:
		return Steered{Why: "This rollout brings hosts back already. To stop it, abort it."}
	}
	to := NextRolloutState(r.State, does.event)
	if to == r.State || !LegalRollout(r.State, to) {
		return Steered{Why: fmt.Sprintf("The rollout is %s, so it can't be %s.%s", stateWords(r.State), does.past, instead(r.State, v))}
	}
	return Steered{To: to}
}

func stateWords(s RolloutState) string { return strings.ReplaceAll(string(s), "_", " ") }

// instead says what helps where a verb does not.
func instead(s RolloutState, v Verb) string {
	switch {
	case s == RolloutHalted && v == VerbResume:
		return " Its failures would halt it again; retry it once they are repaired."
	case s == RolloutPlanned && v != VerbAbort:
		return " No host has begun; abort it to keep it from starting."
	}
	return ""
}

// mayUndo says why what was before an ended rollout can't be brought back.
func mayUndo(r Rollout, near Around) string {
	if r.Kind == RolloutRestore {
		return "This rollout brought hosts back itself. To bring a commit to them, deploy it."
	}
	if near.Overtook != "" {
		return overtook(near.Overtook, "Rolling back would take that one back, too. Deploy the commit that you want, with backward.")
	}
	if _, back := MakeRestore(r, near.Hosts); len(back) == 0 {
		return "No host has to go back: none that switched in this rollout still runs what it brought, as far as is known."
	}
	return ""
}

func overtook(id, instead string) string {
	return fmt.Sprintf("The rollout %s of another commit has begun since. %s", id, instead)
}

// Retry finds the hosts of a rollout that another try concerns; none, and why, where
// there is nothing to try. With names, only these are tried.
func Retry(r Rollout, near Around, only ...string) (hosts []string, why string) {
	all := RetryHosts(r)
	switch {
	case r.Kind == RolloutRestore:
		return nil, fmt.Sprintf("This rollout brings hosts back. To try that again, roll back %s once more.", r.Restores)
	case r.State != RolloutHalted && !r.State.Terminal():
		return nil, fmt.Sprintf("The rollout is %s. What failed can be tried again once it has halted or ended.", stateWords(r.State))
	case len(all) == 0:
		return nil, "There is nothing to try again: every host of it is done, catches up by itself, or was taken out."
	case near.Overtook != "":
		return nil, overtook(near.Overtook, "To retry this one would take that one back. Retry that one, or deploy the commit that you want.")
	}
	for _, name := range only {
		if !slices.Contains(all, name) {
			return nil, plain(name, 63) + " can't be tried again: it is done, catches up by itself, or was taken out."
		}
	}
	if len(only) > 0 {
		return only, ""
	}
	return all, ""
}
