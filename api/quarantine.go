package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

type quarantineOutput struct {
	Body struct {
		Commits []Quarantined `json:"commits"`
	}
}

type liftInput struct {
	Commit string `path:"commit" doc:"The commit, or a beginning of it that no other in quarantine has" pattern:"^[0-9a-f]{4,40}$"`
	Reason string `query:"reason" maxLength:"1000" doc:"For the record"`
}

type liftOutput struct{ Body Quarantined }

func quarantine(a huma.API, s RolloutService) {
	huma.Register(a, huma.Operation{
		OperationID: "list-quarantine", Tags: []string{TagRollouts}, Method: http.MethodGet, Path: "/api/v1/quarantine",
		Description: "A commit comes into quarantine when its rollout spent the failure budget.",
		Summary:     "Commits that nothing brings to further hosts by itself", Metadata: needs("viewer"),
	}, func(ctx context.Context, _ *struct{}) (*quarantineOutput, error) {
		list, err := s.Quarantine(ctx)
		out := &quarantineOutput{}
		out.Body.Commits = list
		return out, err
	})
	huma.Register(a, huma.Operation{
		OperationID: "lift-quarantine", Tags: []string{TagRollouts}, Method: http.MethodDelete, Path: "/api/v1/quarantine/{commit}",
		Description: "Rollouts may bring the commit to further hosts again. Nothing begins by itself.",
		Summary:     "Let a commit spread again", DefaultStatus: http.StatusOK, Metadata: needs("operator"),
	}, func(ctx context.Context, in *liftInput) (*liftOutput, error) {
		q, err := s.LiftQuarantine(ctx, actorOf(ctx), in.Commit, in.Reason)
		return &liftOutput{q}, rolloutError(err, "commit "+in.Commit+" in quarantine")
	})
}
