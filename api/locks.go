package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/nixfleet/nixfleet/fleet"
)

// maxLockBody holds the largest lock that is read (flakelock.MaxSize, 4 MiB) as a JSON
// string, in which line breaks and quotes take two bytes.
const maxLockBody = 9 << 20

// NewLock is a lock file that was made from a commit, to be committed by the server.
type NewLock struct {
	Base   string   `json:"base" doc:"Commit that the lock was made from; it must be the head of the default branch" pattern:"^[0-9a-f]{40}$"`
	Path   string   `json:"path,omitempty" doc:"Path of the lock file in the repository; flake.lock if left out" maxLength:"1000"`
	Lock   string   `json:"lock" doc:"The lock file" minLength:"1"`
	Inputs []string `json:"inputs,omitempty" doc:"Inputs of flake.nix that were to change; all if left out" maxItems:"200"`
	Host   string   `json:"host,omitempty" doc:"Host that made it, if one did" maxLength:"63"`
	Reason string   `json:"reason,omitempty" maxLength:"1000"`
	AsPull bool     `json:"as_pull,omitempty" doc:"Open a pull request, also where policy has locks committed"`
}

// Lock is a lock that was sent, and what became of it.
type Lock struct {
	ID         string              `json:"id"`
	Repo       string              `json:"repo"`
	State      string              `json:"state" enum:"received,proven,committed,opened,refused,conflicted"`
	Ended      bool                `json:"ended"`
	Found      string              `json:"found" doc:"What became of it, in one sentence"`
	Again      bool                `json:"again" doc:"The branch moved: the host shall make the lock again"`
	Host       string              `json:"host,omitempty"`
	Actor      string              `json:"actor"`
	Path       string              `json:"path"`
	Base       string              `json:"base"`
	Commit     string              `json:"commit,omitempty"`
	Number     int                 `json:"number,omitempty" doc:"Of the pull request"`
	Conditions []fleet.Condition   `json:"conditions,omitempty"`
	Changes    []fleet.InputChange `json:"changes,omitempty"`
	CreatedAt  time.Time           `json:"created_at"`
	EndedAt    time.Time           `json:"ended_at,omitzero"`
}

// LockOf is a proposal as the API shows it.
func LockOf(p fleet.Proposal) Lock {
	l := Lock{
		ID: p.ID, Repo: p.Repo.FullName(), State: string(p.State), Ended: p.State.Terminal(), Found: p.Found, Again: p.Again(), Host: p.Host,
		Actor: p.Actor, Path: p.Path, Base: p.BaseSHA, Number: p.Number, Conditions: p.Verdict.Conditions, Changes: p.Verdict.Inputs,
		CreatedAt: p.CreatedAt, EndedAt: p.EndedAt,
	}
	if p.State == fleet.ProposalCommitted || p.State == fleet.ProposalOpened {
		l.Commit = p.CommitSHA // before that it is on no branch
	}
	return l
}

type newLockInput struct {
	Owner string `path:"owner" maxLength:"100"`
	Name  string `path:"name" maxLength:"100"`
	Body  NewLock
}

type lockInput struct {
	Owner string `path:"owner" maxLength:"100"`
	Name  string `path:"name" maxLength:"100"`
	ID    string `path:"id" maxLength:"26"`
}

type lockOutput struct{ Body Lock }

func locks(a huma.API, s Service) {
	huma.Register(a, huma.Operation{
		OperationID: "propose-lock", Tags: []string{TagLocks}, Method: http.MethodPost, Path: "/api/v1/repos/{owner}/{name}/locks",
		Summary:       "Send a lock that was made on a host; if the rules of locks hold, the App commits it",
		Description:   "For locks that something else made. The server proves it by the rules of locks before anything is committed.",
		DefaultStatus: http.StatusAccepted, Metadata: needs("operator"),
		MaxBodyBytes:    maxLockBody,
		BodyReadTimeout: 30 * time.Second,
	}, func(ctx context.Context, in *newLockInput) (*lockOutput, error) {
		repo := in.Owner + "/" + in.Name
		l, err := s.ProposeLock(ctx, actorOf(ctx), repo, in.Body)
		return &lockOutput{l}, shownError(err, repo)
	})
	huma.Register(a, huma.Operation{
		OperationID: "get-lock", Tags: []string{TagLocks}, Method: http.MethodGet, Path: "/api/v1/repos/{owner}/{name}/locks/{id}", Summary: "What became of a lock that was sent",
		Description: "Received, proven, committed, opened as a pull request, refused or too late; with every condition.",
		Metadata:    needs("viewer"),
	}, func(ctx context.Context, in *lockInput) (*lockOutput, error) {
		repo := in.Owner + "/" + in.Name
		l, err := s.Lock(ctx, repo, in.ID)
		if errors.Is(err, ErrUnknown) {
			return nil, huma.Error404NotFound("Not found: " + repo + " is not watched, or no lock of this id was sent for it.")
		}
		return &lockOutput{l}, err
	})
}
