package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// UpdateInputs asks for a newer lock, made by a host.
type UpdateInputs struct {
	Host   string   `json:"host,omitempty" doc:"Host that makes it; if left out, an evaluator that is online, or else any host that is" maxLength:"63"`
	Inputs []string `json:"inputs,omitempty" doc:"Inputs of flake.nix to update; all if left out" maxItems:"200"`
	Path   string   `json:"path,omitempty" doc:"Path of the lock file in the repository; that of the policy if left out" maxLength:"1000"`
	Reason string   `json:"reason,omitempty" maxLength:"1000"`
	AsPull bool     `json:"as_pull,omitempty" doc:"Open a pull request, also where policy has locks committed"`
}

// InputsUpdate is an order for a newer lock, and what became of it.
type InputsUpdate struct {
	ID        string    `json:"id" doc:"Of the order"`
	Repo      string    `json:"repo"`
	Host      string    `json:"host"`
	Base      string    `json:"base" doc:"Commit that the lock is made from"`
	Path      string    `json:"path"`
	Inputs    []string  `json:"inputs,omitempty"`
	Actor     string    `json:"actor"`
	State     string    `json:"state" doc:"Of the order: how far the host is"`
	Ended     bool      `json:"ended" doc:"Neither host nor server does anything more about it"`
	Found     string    `json:"found,omitempty" doc:"What became of it, in one sentence"`
	Lock      *Lock     `json:"lock,omitempty" doc:"The lock that the host sent; none where all inputs are current"`
	CreatedAt time.Time `json:"created_at"`
}

type updateInputsInput struct {
	Owner string `path:"owner" maxLength:"100"`
	Name  string `path:"name" maxLength:"100"`
	Body  UpdateInputs
}

type inputsUpdateOutput struct{ Body InputsUpdate }

func inputs(a huma.API, s Service) {
	huma.Register(a, huma.Operation{
		OperationID: "update-inputs", Tags: []string{TagLocks}, Method: http.MethodPost, Path: "/api/v1/repos/{owner}/{name}/update-inputs",
		Summary:       "Have a host make a newer lock; if the rules of locks hold, the App commits it",
		Description:   "Gives a host the order to make a newer lock. What becomes of it is told under the id that is answered.",
		DefaultStatus: http.StatusAccepted, Metadata: needs("operator"),
	}, func(ctx context.Context, in *updateInputsInput) (*inputsUpdateOutput, error) {
		repo := in.Owner + "/" + in.Name
		u, err := s.UpdateInputs(ctx, actorOf(ctx), repo, in.Body)
		return &inputsUpdateOutput{u}, shownError(err, repo)
	})
	huma.Register(a, huma.Operation{
		OperationID: "get-inputs-update", Tags: []string{TagLocks}, Method: http.MethodGet, Path: "/api/v1/repos/{owner}/{name}/update-inputs/{id}",
		Summary:     "What became of an order for a newer lock",
		Description: "How far the host is, and what became of the lock that it sent.",
		Metadata:    needs("viewer"),
	}, func(ctx context.Context, in *lockInput) (*inputsUpdateOutput, error) {
		repo := in.Owner + "/" + in.Name
		u, err := s.InputsUpdate(ctx, repo, in.ID)
		if errors.Is(err, ErrUnknown) {
			return nil, huma.Error404NotFound("Not found: " + repo + " is not watched, or no update of inputs has this id.")
		}
		return &inputsUpdateOutput{u}, err
	})
}
