package dashboard

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/nixfleet/nixfleet/dashboard/stories"
	"github.com/nixfleet/nixfleet/fleet"
)

// rolloutWorld are the rollouts behind a dashboard, in memory.
type rolloutWorld struct {
	of      sync.Mutex
	detail  *fleet.RolloutDetail
	ended   []fleet.RolloutSummary
	asked   fleet.RolloutQuery // of the last list
	bad     []fleet.Quarantine
	planned *fleet.PlannedRollout
	wishes  []string // "login what id, and what else it names"
	denied  error    // what every wish is answered with
}

func (w *rolloutWorld) tell(s stories.Story) {
	w.detail, w.ended, w.bad, w.planned = s.Rollout, s.Ended, s.Quarantine, s.Planned
}

func (w *rolloutWorld) Rollout(_ context.Context, id string) (fleet.RolloutDetail, error) {
	w.of.Lock()
	defer w.of.Unlock()
	if w.detail == nil || w.detail.ID != id {
		return fleet.RolloutDetail{}, ErrUnknown
	}
	return *w.detail, nil
}

func (w *rolloutWorld) EndedRollouts(_ context.Context, q fleet.RolloutQuery) ([]fleet.RolloutSummary, error) {
	w.of.Lock()
	defer w.of.Unlock()
	w.asked = q
	return w.ended, nil
}

func (w *rolloutWorld) Quarantine(context.Context) ([]fleet.Quarantine, error) { return w.bad, nil }

func (w *rolloutWorld) wish(format string, args ...any) error {
	w.of.Lock()
	defer w.of.Unlock()
	if w.denied == nil {
		w.wishes = append(w.wishes, strings.TrimSpace(fmt.Sprintf(format, args...)))
	}
	return w.denied
}

func (w *rolloutWorld) Steer(_ context.Context, by fleet.Actor, id string, v fleet.Verb, seen fleet.RolloutState, reason string) (fleet.Rollout, error) {
	return fleet.Rollout{ID: id}, w.wish("%s %s %s %s %s", by.Login, v, id, seen, reason)
}

func (w *rolloutWorld) Retry(_ context.Context, by fleet.Actor, id string, hosts []string, reason, key string) (fleet.Rollout, error) {
	return fleet.Rollout{ID: "01NEXT"}, w.wish("%s retry %s %v %s %v", by.Login, id, hosts, reason, key != "")
}

func (w *rolloutWorld) Exclude(_ context.Context, by fleet.Actor, id, host, reason string) error {
	return w.wish("%s exclude %s %s %s", by.Login, id, host, reason)
}

func (w *rolloutWorld) Lift(_ context.Context, by fleet.Actor, repo int64, commit, reason string) error {
	return w.wish("%s lift %d %s %s", by.Login, repo, commit, reason)
}

func (w *rolloutWorld) Plan(context.Context, RolloutWish) (fleet.PlannedRollout, error) {
	if w.planned == nil {
		return fleet.PlannedRollout{}, BadRequest(`Hosts: at byte 12: found "nad", expected and, or, or the end.`)
	}
	return *w.planned, nil
}

func (w *rolloutWorld) Start(_ context.Context, by fleet.Actor, q RolloutWish) (fleet.Rollout, error) {
	q.Key = map[bool]string{true: "key"}[q.Key != ""]
	return fleet.Rollout{ID: "01NEXT"}, w.wish("%s start %+v", by.Login, q)
}
