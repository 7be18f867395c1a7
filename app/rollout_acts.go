package app

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

// rolloutActs are what people do to rollouts, whichever way they say it: over the API,
// in a comment, on a page. Each is stored with who and why, and said twice it is done
// once. What can't be done as things are is an api.Refused, which says what is in the way.
type rolloutActs struct{ a *App }

// inTheWay is what can't be done as things are.
func inTheWay(format string, args ...any) error { return api.Refused(fmt.Sprintf(format, args...)) }

// find reads the rollout that a person means: by its id, by the beginning of it, or
// the latest.
func (x rolloutActs) find(ctx context.Context, id string) (fleet.Rollout, error) {
	if id == "latest" {
		list, err := x.a.db.Rollouts(ctx, db.RolloutPage{Limit: 1})
		if err == nil && len(list) == 0 {
			err = api.ErrUnknown
		}
		if err != nil {
			return fleet.Rollout{}, err
		}
		return x.a.db.Rollout(ctx, list[0].ID)
	}
	like, err := x.a.db.RolloutsLike(ctx, strings.ToUpper(id))
	switch {
	case err != nil:
		return fleet.Rollout{}, err
	case id == "" || len(like) == 0:
		return fleet.Rollout{}, api.ErrUnknown
	case len(like) > 1:
		return fleet.Rollout{}, inTheWay("More than one rollout begins with %s, for example %s and %s. Give more of it.", id, like[0], like[1])
	}
	return x.a.db.Rollout(ctx, like[0])
}

// verbs are what a person can say of a rollout as a whole, and when that is so already.
var verbs = map[string]struct {
	event   fleet.RolloutEvent
	past    string
	already []fleet.RolloutState
}{
	"pause":    {fleet.RolloutPause, "paused", []fleet.RolloutState{fleet.RolloutPaused}},
	"resume":   {fleet.RolloutResume, "resumed", []fleet.RolloutState{fleet.RolloutRunning}},
	"abort":    {fleet.RolloutAbort, "aborted", []fleet.RolloutState{fleet.RolloutAborted}},
	"rollback": {fleet.RolloutRollBack, "rolled back", []fleet.RolloutState{fleet.RolloutRollingBack, fleet.RolloutRolledBack}},
}

// steering is what a verb comes to for one rollout: a change of its state, a rollout
// that restores what was before it, or nothing, because it is so already.
type steering struct {
	move    *db.RolloutMove
	restore *db.RolloutRestore
	says    string // what it comes to, for people
}

// steer finds out what a verb comes to.
func (x rolloutActs) steer(ctx context.Context, by fleet.Actor, r fleet.Rollout, verb, reason string) (steering, error) {
	v, known := verbs[verb]
	if !known {
		return steering{}, inTheWay("A rollout can't be asked to %s.", verb)
	}
	says := fmt.Sprintf("The rollout of %.7s is %s.", r.Commit, v.past)
	if slices.Contains(v.already, r.State) {
		return steering{says: says}, nil
	}
	if verb == "rollback" && r.State.Terminal() {
		return x.undo(ctx, by, r, reason)
	}
	if verb == "rollback" && r.Kind == fleet.RolloutRestore {
		return steering{}, inTheWay("This rollout brings hosts back already. To stop it, abort it.")
	}
	to := fleet.NextRolloutState(r.State, v.event)
	if to == r.State || !fleet.LegalRollout(r.State, to) {
		return steering{}, inTheWay("The rollout is %s, so it can't be %s.%s", words(r.State), v.past, instead(r.State, verb))
	}
	if to == fleet.RolloutRollingBack {
		says = fmt.Sprintf("The rollout of %.7s rolls back.", r.Commit)
	}
	return steering{says: says, move: &db.RolloutMove{ID: r.ID, StateChange: db.StateChange{
		From: []fleet.RolloutState{r.State}, To: to, Actor: by.Login, Reason: reason,
	}}}, nil
}

func words(s fleet.RolloutState) string { return strings.ReplaceAll(string(s), "_", " ") }

// instead says what helps where a verb does not.
func instead(s fleet.RolloutState, verb string) string {
	switch {
	case s == fleet.RolloutHalted && verb == "resume":
		return " Its failures would halt it again; retry it once they are repaired."
	case s == fleet.RolloutPlanned && verb != "abort":
		return " No host has begun; abort it to keep it from starting."
	}
	return ""
}

// undo restores what was before a rollout that has ended.
func (x rolloutActs) undo(ctx context.Context, by fleet.Actor, r fleet.Rollout, reason string) (steering, error) {
	if r.Kind == fleet.RolloutRestore {
		return steering{}, inTheWay("This rollout brought hosts back itself. To bring a commit to them, deploy it.")
	}
	if err := x.notOvertaken(ctx, r, "Rolling back would take that one back, too. Deploy the commit that you want, with backward"); err != nil {
		return steering{}, err
	}
	hosts, err := x.hosts(ctx, r.RepoID)
	if err != nil {
		return steering{}, err
	}
	of := make(map[string]fleet.Host, len(hosts))
	for _, h := range hosts {
		of[h.Name] = h
	}
	if _, back := fleet.MakeRestore(r, of); len(back) == 0 {
		return steering{}, inTheWay("No host has to go back: none that switched in this rollout still runs what it brought, as far as is known.")
	}
	now := x.a.cfg.Now()
	return steering{says: fmt.Sprintf("The rollout of %.7s is rolled back.", r.Commit), restore: &db.RolloutRestore{
		Of: r.ID, New: db.NewRollout{ID: newID(now), ByPerson: true, Reason: cmp.Or(reason, "asked for by "+by.Login), Actor: by.Login},
	}}, nil
}

// notOvertaken refuses what would take a later rollout back.
func (x rolloutActs) notOvertaken(ctx context.Context, r fleet.Rollout, instead string) error {
	later, err := x.a.db.Overtook(ctx, r)
	if err == nil && later != "" {
		err = inTheWay("The rollout %s of another commit has begun since. %s.", later, instead)
	}
	return err
}

// hosts are those of a repository.
func (x rolloutActs) hosts(ctx context.Context, repoID int64) ([]fleet.Host, error) {
	hosts, err := x.a.db.Hosts(ctx)
	return slices.DeleteFunc(hosts, func(h fleet.Host) bool { return h.RepoID != repoID }), err
}

// Steer pauses, resumes, aborts or rolls back.
func (x rolloutActs) Steer(ctx context.Context, by fleet.Actor, id, verb, reason string) (fleet.Rollout, error) {
	r, err := x.find(ctx, id)
	if err != nil {
		return r, err
	}
	s, err := x.steer(ctx, by, r, verb, reason)
	if err != nil {
		return r, err
	}
	now := x.a.cfg.Now()
	switch {
	case s.move != nil:
		err = x.a.db.SetRolloutState(ctx, r.ID, s.move.StateChange, now)
	case s.restore != nil:
		r.ID, err = x.a.db.StartRestore(ctx, s.restore.Of, s.restore.New, now)
	}
	if err != nil && !errors.Is(err, db.ErrConflict) {
		return r, err
	}
	is, readErr := x.a.db.Rollout(ctx, r.ID)
	if readErr != nil {
		return r, readErr
	}
	if err != nil && !slices.Contains(verbs[verb].already, is.State) { // else it was a double click
		return r, inTheWay("The rollout moved just now, or another one is under way. Look at it again.")
	}
	x.a.log.Info().Str("rollout", r.ID).Str("by", by.Login).Str("verb", verb).Msg(s.says)
	return is, nil
}

// Exclude takes a host out of a rollout.
func (x rolloutActs) Exclude(ctx context.Context, by fleet.Actor, id, host, reason string) (fleet.Rollout, error) {
	r, err := x.find(ctx, id)
	if err != nil {
		return r, err
	}
	now := x.a.cfg.Now()
	instead := x.a.newOrder(host, agentbus.KindNoop, r, now)
	instead.Actor, instead.Reason = by.Login, reason
	err = x.a.db.ExcludeHost(ctx, db.Exclusion{Rollout: r.ID, Host: host, Actor: by.Login, Reason: reason, Instead: instead}, now)
	switch {
	case errors.Is(err, db.ErrNotFound):
		return r, api.ErrUnknown
	case errors.Is(err, db.ErrConflict):
		return r, inTheWay("%s can't be taken out: %s.", host, progressWords(r, host))
	case err != nil:
		return r, err
	}
	x.a.log.Info().Str("rollout", r.ID).Str("host", host).Str("by", by.Login).Msg("host excluded")
	return x.a.db.Rollout(ctx, r.ID)
}

// progressWords say where a host of a rollout is.
func progressWords(r fleet.Rollout, host string) string {
	for _, p := range r.Hosts {
		if p.Host == host {
			if _, _, err := fleet.Exclude(p, p.Since); err != nil {
				return err.Error()
			}
		}
	}
	return "it moved just now; look at it again"
}

// retried is the rollout that a retry of r would be.
func (x rolloutActs) retried(ctx context.Context, by fleet.Actor, r fleet.Rollout, reason, key string) (db.NewRollout, error) {
	var none db.NewRollout
	names := fleet.RetryHosts(r)
	switch {
	case r.Kind == fleet.RolloutRestore:
		return none, inTheWay("This rollout brings hosts back. To try that again, roll back %s once more.", r.Restores)
	case r.State != fleet.RolloutHalted && !r.State.Terminal():
		return none, inTheWay("The rollout is %s. What failed can be tried again once it has halted or ended.", words(r.State))
	case len(names) == 0:
		return none, inTheWay("There is nothing to try again: every host of it is done, catches up by itself, or was taken out.")
	}
	if err := x.notOvertaken(ctx, r, "To retry this one would take that one back. Retry that one, or deploy the commit that you want"); err != nil {
		return none, err
	}
	policy, err := x.a.db.RolloutPolicy(ctx, r.ID)
	if err != nil {
		return none, err
	}
	now := x.a.cfg.Now()
	n := db.NewRollout{
		ID: newID(now), Kind: r.Kind, RepoID: r.RepoID, UpdateID: r.UpdateID, Commit: r.Commit, Deploy: policy, Only: names,
		// That it failed is what a retry is about.
		ByPerson: true, Force: true,
		Reason: cmp.Or(reason, fmt.Sprintf("retry of rollout %s", r.ID)), Actor: by.Login,
	}
	n.Request, n.Once = wishKey(by, key, "retry", r.ID)
	return n, nil
}

// Retry starts a rollout of the same commit to the hosts that did not get there.
func (x rolloutActs) Retry(ctx context.Context, by fleet.Actor, id, reason, key string) (fleet.Rollout, error) {
	r, err := x.find(ctx, id)
	if err != nil {
		return r, err
	}
	n, err := x.retried(ctx, by, r, reason, key)
	if err != nil {
		return r, err
	}
	return x.begin(ctx, n)
}

// begin starts a rollout at a person's word.
func (x rolloutActs) begin(ctx context.Context, n db.NewRollout) (fleet.Rollout, error) {
	id, err := x.a.db.StartRollout(ctx, n, x.a.cfg.Now())
	if errors.Is(err, db.ErrQuarantined) {
		why, _ := x.a.db.Quarantined(ctx, n.RepoID, n.Commit)
		return fleet.Rollout{}, inTheWay("%.7s is in quarantine: %s To deploy it all the same, use force; to let it spread again, lift the quarantine.", n.Commit, why)
	}
	if err != nil {
		return fleet.Rollout{}, err
	}
	x.a.log.Info().Str("rollout", id).Str("commit", n.Commit).Str("by", n.Actor).Msg("rollout asked for")
	return x.a.db.Rollout(ctx, id)
}

// wishKey names a wish. One that came with a key of its own is the same one for ever;
// else the same words of the same person are, for as long as the rollout goes on.
func wishKey(by fleet.Actor, key string, words ...string) (request string, once bool) {
	if key != "" {
		words = []string{"key", key}
	}
	sum := sha256.Sum256([]byte(strings.Join(append(words, by.Login), "\x00")))
	return hex.EncodeToString(sum[:16]), key != ""
}
