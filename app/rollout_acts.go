package app

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
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

// steering is what a verb comes to for one rollout: a change of its state, a rollout
// that restores what was before it, or nothing, because it is so already.
type steering struct {
	move    *db.RolloutMove
	restore *db.RolloutRestore
	says    string // what it comes to, for people
}

// steer finds out what a verb comes to.
func (x rolloutActs) steer(ctx context.Context, by fleet.Actor, r fleet.Rollout, verb fleet.Verb, reason string) (steering, error) {
	var near fleet.Around
	if verb == fleet.VerbRollback && r.State.Terminal() { // only then it matters
		var err error
		if near, err = x.around(ctx, r); err != nil {
			return steering{}, err
		}
	}
	s := steering{says: fmt.Sprintf("The rollout of %.7s is %s.", r.Commit, verb.Past())}
	switch to := fleet.Steer(r, verb, near); {
	case to.Why != "":
		return steering{}, api.Refused(to.Why)
	case to.Restore:
		s.restore = &db.RolloutRestore{Of: r.ID, New: db.NewRollout{
			ID: newID(x.a.cfg.Now()), ByPerson: true, Reason: cmp.Or(reason, "asked for by "+by.Login), Actor: by.Login,
		}}
	case !to.Already:
		s.move = &db.RolloutMove{ID: r.ID, StateChange: db.StateChange{
			From: []fleet.RolloutState{r.State}, To: to.To, Actor: by.Login, Reason: reason,
		}}
		if to.To == fleet.RolloutRollingBack {
			s.says = fmt.Sprintf("The rollout of %.7s rolls back.", r.Commit)
		}
	}
	return s, nil
}

func words(s fleet.RolloutState) string { return strings.ReplaceAll(string(s), "_", " ") }

// around reads what is around a rollout.
func (x rolloutActs) around(ctx context.Context, r fleet.Rollout) (fleet.Around, error) {
	near := fleet.Around{Hosts: map[string]fleet.Host{}}
	hosts, err := x.hosts(ctx, r.RepoID)
	if err != nil {
		return near, err
	}
	for _, h := range hosts {
		near.Hosts[h.Name] = h
	}
	near.Overtook, err = x.a.db.Overtook(ctx, r)
	return near, err
}

// hosts are those of a repository.
func (x rolloutActs) hosts(ctx context.Context, repoID int64) ([]fleet.Host, error) {
	hosts, err := x.a.db.Hosts(ctx)
	return slices.DeleteFunc(hosts, func(h fleet.Host) bool { return h.RepoID != repoID }), err
}

// Steer pauses, resumes, aborts or rolls back. seen is the state that the person saw
// the rollout in; empty where they saw none.
func (x rolloutActs) Steer(ctx context.Context, by fleet.Actor, id string, verb fleet.Verb, seen fleet.RolloutState, reason string) (fleet.Rollout, error) {
	r, err := x.find(ctx, id)
	if err != nil {
		return r, err
	}
	if seen != "" && seen != r.State && !fleet.Steer(r, verb, fleet.Around{}).Already {
		return r, inTheWay("The rollout was %s when you looked, and is %s now. Look at it again.", words(seen), words(r.State))
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
	if err != nil && !fleet.Steer(is, verb, fleet.Around{}).Already { // else it was a double click
		return r, inTheWay("The rollout moved just now, or another one is under way. Look at it again.")
	}
	x.a.log.Info().Ctx(ctx).Str("rollout", r.ID).Str("by", by.Login).Str("verb", string(verb)).Msg(s.says)
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
	x.a.log.Info().Ctx(ctx).Str("rollout", r.ID).Str("host", host).Str("by", by.Login).Msg("host excluded")
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

// retried is the rollout that a retry of r would be: of all its hosts that did not get
// there, or of those named.
func (x rolloutActs) retried(ctx context.Context, by fleet.Actor, r fleet.Rollout, reason string, hosts ...string) (db.NewRollout, error) {
	var none db.NewRollout
	near, err := x.around(ctx, r)
	if err != nil {
		return none, err
	}
	names, why := fleet.Retry(r, near, hosts...)
	if why != "" {
		return none, api.Refused(why)
	}
	policy, err := x.a.db.RolloutPolicy(ctx, r.ID)
	if err != nil {
		return none, err
	}
	return db.NewRollout{
		ID: newID(x.a.cfg.Now()), Kind: r.Kind, RepoID: r.RepoID, UpdateID: r.UpdateID, Commit: r.Commit, Deploy: policy, Only: names,
		// That it failed is what a retry is about.
		ByPerson: true, Force: true,
		Reason: cmp.Or(reason, fmt.Sprintf("retry of rollout %s", r.ID)), Actor: by.Login,
		Request: wish(by, append([]string{"retry", r.ID}, hosts...)...),
	}, nil
}

// Retry starts a rollout of the same commit to the hosts that did not get there, or to
// those of them that are named.
func (x rolloutActs) Retry(ctx context.Context, by fleet.Actor, id, reason, key string, hosts ...string) (fleet.Rollout, error) {
	r, err := x.find(ctx, id)
	if err != nil {
		return r, err
	}
	k := rolloutKey(key, "retry", r.ID, hosts, reason)
	if known, err := x.begun(ctx, by, k); known != nil || err != nil {
		return orNone(known), err
	}
	n, err := x.retried(ctx, by, r, reason, hosts...)
	if err != nil {
		return r, err
	}
	return x.begin(ctx, n, k)
}

// begin starts a rollout at a person's word.
func (x rolloutActs) begin(ctx context.Context, n db.NewRollout, key db.OrderKey) (fleet.Rollout, error) {
	n.Key = key
	id, err := x.a.db.StartRollout(ctx, n, x.a.cfg.Now())
	if errors.Is(err, db.ErrQuarantined) {
		why, _ := x.a.db.Quarantined(ctx, n.RepoID, n.Commit)
		return fleet.Rollout{}, inTheWay("%.7s is in quarantine: %s To deploy it all the same, use force; to let it spread again, lift the quarantine.", n.Commit, why)
	}
	if err != nil {
		return fleet.Rollout{}, asField(err)
	}
	x.a.log.Info().Ctx(ctx).Str("rollout", id).Str("commit", n.Commit).Str("by", n.Actor).Msg("rollout asked for")
	return x.a.db.Rollout(ctx, id)
}

// begun reads the rollout that the same request has begun before; nil where none has.
func (x rolloutActs) begun(ctx context.Context, by fleet.Actor, key db.OrderKey) (*fleet.Rollout, error) {
	if key.Key == "" {
		return nil, nil
	}
	id, err := x.a.db.RolloutOfKey(ctx, by.Login, key)
	if errors.Is(err, db.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, asField(err)
	}
	r, err := x.a.db.Rollout(ctx, id)
	return &r, err
}

func orNone(r *fleet.Rollout) fleet.Rollout {
	if r == nil {
		return fleet.Rollout{}
	}
	return *r
}

// wish names what a person asks for: said again, under whichever key, it is the same for
// as long as the rollout goes on.
func wish(by fleet.Actor, words ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(append(words, by.Login), "\x00")))
	return hex.EncodeToString(sum[:16])
}

// rolloutKey is what makes a request for a rollout recognisable when it comes again.
func rolloutKey(key string, what ...any) db.OrderKey {
	if key == "" {
		return db.OrderKey{}
	}
	b, err := json.Marshal(append([]any{"rollout"}, what...))
	if err != nil {
		panic(err) // strings and flags always encode
	}
	sum := sha256.Sum256(b)
	return db.OrderKey{Key: key, Sum: hex.EncodeToString(sum[:])}
}
