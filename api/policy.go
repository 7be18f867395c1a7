package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/nixfleet/nixfleet/fleet"
)

// ErrFileRules is returned by [Service.SetPolicy] for a repository whose policy file
// rules.
var ErrFileRules = errors.New("the policy file of the repository rules")

// Policy is what holds for one repository, and where it comes from.
type Policy struct {
	Repo      string    `json:"repo"`
	Source    string    `json:"source" enum:"file,settings,built-in" doc:"What rules: the repository's policy file, else the settings made here, else the built-in policy"`
	File      string    `json:"file" doc:"Address of the policy file, also where there is none yet"`
	Settings  string    `json:"settings" doc:"The settings made here, as YAML; they wait while a file rules"`
	ChangedBy string    `json:"changed_by,omitempty"`
	ChangedAt time.Time `json:"changed_at,omitzero"`
	Problem   string    `json:"problem,omitempty" doc:"Why what rules can't be read; nothing merges meanwhile"`
}

// Explanation is a look at one update, and what is concluded from it.
type Explanation struct {
	Repo    string        `json:"repo"`
	Number  int           `json:"number"`
	Title   string        `json:"title"`
	URL     string        `json:"url"`
	Verdict fleet.Verdict `json:"verdict"`
	WhatIf  bool          `json:"what_if" doc:"The facts were altered for this answer; nothing was stored"`
}

// Repo is a watched repository.
type Repo struct {
	Repo          string    `json:"repo"`
	DefaultBranch string    `json:"default_branch"`
	Head          string    `json:"head" doc:"Commit of the default branch, as last read"`
	ReadAt        time.Time `json:"read_at,omitzero"`
	Problem       string    `json:"problem,omitempty" doc:"Why its policy can't be read; nothing merges meanwhile"`
}

type reposOutput struct {
	Body struct {
		Repos []Repo `json:"repos"`
	}
}

// repoInput names a repository. It is not embedded by the others, for huma reads
// exported fields only.
type repoInput struct {
	Owner string `path:"owner" maxLength:"100"`
	Name  string `path:"name" maxLength:"100"`
}

type policyOutput struct{ Body Policy }

type setPolicyInput struct {
	Owner string `path:"owner" maxLength:"100"`
	Name  string `path:"name" maxLength:"100"`
	Body  struct {
		Settings string `json:"settings" maxLength:"262144" doc:"The policy as YAML; empty brings the built-in one back"`
	}
}

type explainInput struct {
	Owner  string    `path:"owner" maxLength:"100"`
	Name   string    `path:"name" maxLength:"100"`
	Number int       `path:"number" minimum:"1"`
	Check  []string  `query:"check,explode" maxItems:"50" doc:"Suppose a check's result, e.g. build:success, build:failure or build:missing"`
	At     time.Time `query:"at" doc:"Suppose that it is then"`
	Merge  bool      `query:"merge" doc:"Suppose that a person asks for the merge"`
	Hold   string    `query:"hold" enum:"on,off" doc:"Suppose that a person holds it, or that nobody does"`
	Label  []string  `query:"label,explode" maxItems:"20" doc:"Suppose that it has this label"`
}

type explanationOutput struct{ Body Explanation }

func policies(a huma.API, s Service) {
	huma.Register(a, huma.Operation{
		OperationID: "list-repos", Tags: []string{TagPolicy}, Method: http.MethodGet, Path: "/api/v1/repos", Summary: "All watched repositories",
		Description: "With the head of the default branch as it was last read.",
		Metadata:    needs("viewer"),
	}, func(ctx context.Context, _ *struct{}) (*reposOutput, error) {
		o, err := s.Overview(ctx)
		if err != nil {
			return nil, err
		}
		out := &reposOutput{}
		out.Body.Repos = make([]Repo, 0, len(o.Repos))
		for _, r := range o.Repos {
			out.Body.Repos = append(out.Body.Repos, Repo{
				Repo: r.Repo.FullName(), DefaultBranch: r.Repo.DefaultBranch, Head: r.HeadSHA, ReadAt: r.HeadAt, Problem: r.PolicyError,
			})
		}
		return out, nil
	})
	huma.Register(a, huma.Operation{
		OperationID: "get-policy", Tags: []string{TagPolicy}, Method: http.MethodGet, Path: "/api/v1/repos/{owner}/{name}/policy", Summary: "The policy that holds for a repository",
		Description: "The policy file of the repository rules; without one the settings made here do, else the built-in policy.",
		Metadata:    needs("viewer"),
	}, func(ctx context.Context, in *repoInput) (*policyOutput, error) {
		repo := in.Owner + "/" + in.Name
		p, err := s.Policy(ctx, repo)
		return &policyOutput{p}, shownError(err, repo)
	})
	huma.Register(a, huma.Operation{
		OperationID: "set-policy", Tags: []string{TagPolicy}, Method: http.MethodPut, Path: "/api/v1/repos/{owner}/{name}/policy", Summary: "Change the settings of a repository without a policy file",
		Description: "Written as a policy file. Refused where the repository has a file of its own.",
		Metadata:    needs("admin"),
	}, func(ctx context.Context, in *setPolicyInput) (*policyOutput, error) {
		repo := in.Owner + "/" + in.Name
		p, err := s.SetPolicy(ctx, actorOf(ctx), repo, in.Body.Settings)
		if errors.Is(err, ErrFileRules) {
			return nil, huma.Error409Conflict("The policy file of " + repo + " rules; change it there: " + p.File)
		}
		return &policyOutput{p}, shownError(err, repo)
	})
	huma.Register(a, huma.Operation{
		OperationID: "explain-update", Tags: []string{TagUpdates}, Method: http.MethodGet, Path: "/api/v1/repos/{owner}/{name}/updates/{number}/explain",
		Summary:     "Every condition of an update, read now; with suppositions, what would follow from them",
		Description: "Reads GitHub now and judges as the server would. Suppositions change the facts for this answer only; nothing is stored or done.",
		Metadata:    needs("viewer"),
	}, func(ctx context.Context, in *explainInput) (*explanationOutput, error) {
		w := fleet.WhatIf{At: in.At, Merge: in.Merge, Labels: in.Label}
		if in.Hold != "" {
			on := in.Hold == "on"
			w.Hold = &on
		}
		var err error
		if w.Checks, err = fleet.ParseSupposed(in.Check); err != nil {
			return nil, huma.Error422UnprocessableEntity(err.Error())
		}
		repo := in.Owner + "/" + in.Name
		e, err := s.Explain(ctx, repo, in.Number, w)
		return &explanationOutput{e}, shownError(err, repo)
	})
}

// shownError turns what a caller can mend into an answer that says so.
func shownError(err error, repo string) error {
	switch {
	case errors.Is(err, ErrUnknown):
		return huma.Error404NotFound("Not found: " + repo + " is not watched, or it has no such update.")
	case errors.Is(err, ErrInvalid):
		return huma.Error422UnprocessableEntity(err.Error())
	}
	return err
}
