package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

const (
	// evaluationWithin is how long an evaluator may take for what one order asks of it.
	evaluationWithin = 2 * time.Hour

	// evaluationRest is the least time between two looks: each compares all hosts of the
	// repositories that have an evaluator with what is known of them.
	evaluationRest = time.Second

	// keepEvaluations is for how long it is known what commits came to that nothing is at.
	keepEvaluations = 30 * 24 * time.Hour
)

// workEvaluations asks evaluators for what nobody has evaluated at the heads of their
// repositories. It goes by what is missing, so a new head, a new host, and an answer
// that never came are all the same to it. A newer order stops an older one on the
// evaluator, and with it the work on a head that is none any more.
func (a *App) workEvaluations(ctx context.Context) (int, error) {
	now := a.cfg.Now()
	found, err := a.db.Unevaluated(ctx, now)
	if err != nil {
		return 0, err
	}
	asked := 0
	for _, u := range found {
		for _, e := range fleet.AssignEvaluations(u.Evaluators, u.Wanted, agentbus.MaxEvaluated) {
			o := a.newOrder(e.Host, agentbus.KindRefresh, fleet.Rollout{
				RepoID: u.Repo.ID, Commit: u.Head, Actor: "evaluator",
				Reason: fmt.Sprintf("what commit %.7s comes to for %d hosts", u.Head, len(e.Attrs)),
			}, now)
			o.ExpiresAt = now.Add(evaluationWithin)
			switch err := a.db.AskEvaluations(ctx, o, e.Attrs, o.ExpiresAt, now); {
			case errors.Is(err, db.ErrConflict):
				continue // another replica was faster, or the head moved: the next look tells
			case err != nil:
				return asked, err
			}
			a.log.Info().Ctx(ctx).Str("host", e.Host).Str("repo", u.Repo.FullName()).Str("commit", u.Head).Int("attributes", len(e.Attrs)).Msg("evaluator asked")
			asked++
		}
	}
	return asked, nil
}

// informed adds to an order what is known of the system that it leads to, so that the
// host need not work it out. A refresh that names no commit is about the host's
// checkout, which may have moved: so it is told of which commit we know.
func informed(o agentbus.Order, known db.Expectation) agentbus.Order {
	o.NoEval = known.Waits
	if o.Commit == "" && o.Kind == agentbus.KindRefresh && known.Path != "" {
		o.Commit = known.Commit
	}
	if o.Commit != "" && o.Commit == known.Commit {
		o.Expected = known.Path
	}
	return o
}

// evaluatedRows are the results of an evaluator's answer.
func evaluatedRows(list []agentbus.Evaluated) []db.Evaluated {
	out := make([]db.Evaluated, 0, len(list))
	for _, e := range list {
		out = append(out, db.Evaluated(e))
	}
	return out
}
