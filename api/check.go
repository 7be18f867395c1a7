package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/nixfleet/nixfleet/fleet"
)

type checkInput struct {
	Body struct {
		Repo string `json:"repo,omitempty" maxLength:"201" doc:"owner/name; all that are watched, if left out" example:"alice/nixcfg"`
	}
}

type checkOutput struct {
	Body struct {
		Repos []fleet.Checked `json:"repos" doc:"Each with what was started, or why nothing was"`
	}
}

func checks(a huma.API, s Service) {
	huma.Register(a, huma.Operation{
		OperationID: "check-for-updates", Tags: []string{TagUpdates}, Method: http.MethodPost, Path: "/api/v1/check-updates",
		Summary: "Check for updates: read GitHub again at once, and start the update workflow",
		Description: "Has the repositories and their open updates looked at again now. Where the App has the permission Actions: write, " +
			"the workflows that make a new lock are started, too, at most every five minutes.",
		DefaultStatus: http.StatusAccepted, Metadata: needs("operator"),
	}, func(ctx context.Context, in *checkInput) (*checkOutput, error) {
		out := &checkOutput{}
		var err error
		out.Body.Repos, err = s.CheckForUpdates(ctx, actorOf(ctx), in.Body.Repo)
		return out, shownError(err, in.Body.Repo)
	})
}
