package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/nixfleet/nixfleet/fleet"
)

// UpdateService is what the API needs of the product for updates. An update is named
// by its repository, owner/name, and its number; one that there is not is ErrUnknown.
// What can't be done as things are is a [Refused].
type UpdateService interface {
	// Updates lists updates, newest first: at most so many, of those before the one
	// with the id.
	Updates(ctx context.Context, q UpdateQuery, before int64, limit int) ([]Update, error)
	// Update tells all that is known of one, as it was last judged.
	Update(ctx context.Context, repo string, number int) (UpdateDetail, error)
	// ActOnUpdate records what a person wishes of an update. Asking twice is asking once.
	ActOnUpdate(ctx context.Context, by fleet.Actor, repo string, number int, act UpdateAct) error
	// CheckForUpdates has GitHub read again at once and the workflows started that bring
	// updates, of one repository, or of all for an empty name.
	CheckForUpdates(ctx context.Context, by fleet.Actor, repo string) ([]fleet.Checked, error)
}

// UpdateQuery picks updates; all that is given has to hold.
type UpdateQuery struct {
	Page
	State string `query:"state" enum:"open,ended,observed,checks,holding,ready,merging,merged,failing,blocked,conflict,closed,superseded" doc:"In this state; open and ended are groups of them"`
	Repo  string `query:"repo" maxLength:"201" doc:"owner/name" example:"alice/nixcfg"`
}

// Update is one pull request that changes only a lock file.
type Update struct {
	ID        int64      `json:"id" example:"7"`
	Repo      string     `json:"repo"`
	Number    int        `json:"number" doc:"Of the pull request" example:"42"`
	Title     string     `json:"title"`
	URL       string     `json:"url"`
	Head      string     `json:"head" doc:"The commit that checks, hold and merge are bound to"`
	State     string     `json:"state" enum:"observed,checks,holding,ready,merging,merged,failing,blocked,conflict,closed,superseded"`
	Ended     bool       `json:"ended"`
	Headline  string     `json:"headline" doc:"Where it stands, in one sentence"`
	HoldUntil time.Time  `json:"hold_until,omitzero" doc:"When it merges by itself if nothing changes"`
	Hold      *Hold      `json:"hold,omitempty" doc:"By a person"`
	Requested *Requested `json:"requested,omitempty" doc:"A person asked for the merge"`
	MergeSHA  string     `json:"merge_sha,omitempty"`
	MergedBy  string     `json:"merged_by,omitempty"`
	MergedAt  time.Time  `json:"merged_at,omitzero"`
	FirstSeen time.Time  `json:"first_seen"`
	ChangedAt time.Time  `json:"changed_at"`
}

// Hold is a person's word that an update shall not merge by itself.
type Hold struct {
	By    string    `json:"by" example:"alice"`
	At    time.Time `json:"at"`
	Until time.Time `json:"until,omitzero" doc:"Left out: until somebody releases it"`
}

// Requested is a person's wish to merge.
type Requested struct {
	By     string    `json:"by" example:"alice"`
	At     time.Time `json:"at"`
	Head   string    `json:"head"`
	Deploy bool      `json:"deploy"`
}

// UpdateDetail is one update with the verdict of the last look.
type UpdateDetail struct {
	Update
	Conditions []fleet.Condition   `json:"conditions" doc:"Each with what was found, where, and what to do"`
	Inputs     []fleet.InputChange `json:"inputs" doc:"What the lock changes"`
	Again      time.Time           `json:"again,omitzero" doc:"When it is looked at again without being woken"`
	Rollouts   []string            `json:"rollouts" doc:"Ids of those that its merge led to, newest first"`
	History    []AuditLine         `json:"history" doc:"What befell it and its rollouts, newest first"`
}

// UpdateAct is what a person wishes of an update.
type UpdateAct struct {
	Verb   string // merge, hold, release or look
	Head   string
	Deploy bool
	Until  time.Time
}

// UpdateOf is an update as the API shows it among others.
func UpdateOf(u fleet.Update) Update {
	out := Update{
		ID: u.ID, Repo: u.Repo.FullName(), Number: u.Number, Title: u.Title, URL: u.URL, Head: u.HeadSHA, State: string(u.State), Ended: u.State.Terminal(),
		Headline: u.Verdict.Headline, HoldUntil: u.Verdict.HoldUntil, MergeSHA: u.MergeSHA, MergedBy: u.MergedBy, MergedAt: u.MergedAt,
		FirstSeen: u.FirstSeen, ChangedAt: u.ChangedAt,
	}
	if h := u.Hold; h != nil {
		out.Hold = &Hold{By: h.By.Login, At: h.At, Until: h.Until}
	}
	if r := u.Request; r != nil {
		out.Requested = &Requested{By: r.By.Login, At: r.At, Head: r.HeadSHA, Deploy: r.Deploy}
	}
	return out
}

// UpdateDetailOf is an update with its verdict as the API shows it.
func UpdateDetailOf(u fleet.UpdateDetail) UpdateDetail {
	d := UpdateDetail{
		Update: UpdateOf(u.Update), Conditions: u.Verdict.Conditions, Inputs: u.Verdict.Inputs, Again: u.Verdict.Again,
		Rollouts: []string{}, History: []AuditLine{},
	}
	for _, r := range u.Rollouts {
		d.Rollouts = append(d.Rollouts, r.ID)
	}
	for _, act := range u.History {
		d.History = append(d.History, AuditLineOf(act))
	}
	if d.Conditions == nil {
		d.Conditions = []fleet.Condition{}
	}
	if d.Inputs == nil {
		d.Inputs = []fleet.InputChange{}
	}
	return d
}

type updatesOutput struct {
	Link string `header:"Link" doc:"Address of the next page, where there is one"`
	Body struct {
		Updates []Update `json:"updates"`
		Next    string   `json:"next,omitempty" doc:"Cursor of the next page; left out on the last"`
	}
}

type updateInput struct {
	Owner  string `path:"owner" maxLength:"100" example:"alice"`
	Name   string `path:"name" maxLength:"100" example:"nixcfg"`
	Number int    `path:"number" minimum:"1" maximum:"2147483647" doc:"Of the pull request" example:"42"`
}

type updateDetailOutput struct{ Body UpdateDetail }

type mergeInput struct {
	Owner  string `path:"owner" maxLength:"100" example:"alice"`
	Name   string `path:"name" maxLength:"100" example:"nixcfg"`
	Number int    `path:"number" minimum:"1" maximum:"2147483647" doc:"Of the pull request" example:"42"`
	Body   struct {
		Head   string `json:"head" pattern:"^[0-9a-f]{40}$" doc:"The head that you looked at; another one is not merged" example:"4f2a9c1e8b7d6f5a3c2b1e0d9f8a7b6c5d4e3f2a"`
		Deploy *bool  `json:"deploy,omitempty" doc:"false: merge only; else the merge commit is rolled out" example:"true"`
	}
}

type holdInput struct {
	Owner  string `path:"owner" maxLength:"100" example:"alice"`
	Name   string `path:"name" maxLength:"100" example:"nixcfg"`
	Number int    `path:"number" minimum:"1" maximum:"2147483647" doc:"Of the pull request" example:"42"`
	Body   *struct {
		Until time.Time `json:"until,omitzero" doc:"Left out: until somebody releases it"`
	} `required:"false"`
}

func updates(a huma.API, s UpdateService) {
	huma.Register(a, huma.Operation{
		OperationID: "list-updates", Tags: []string{TagUpdates}, Method: http.MethodGet, Path: "/api/v1/updates", Summary: "Updates, newest first",
		Description: "Open ones and those that ended, of all watched repositories, each with where it stands.", Metadata: needs("viewer"),
	}, func(ctx context.Context, in *UpdateQuery) (*updatesOutput, error) {
		list, err := s.Updates(ctx, *in, in.AfterNumber(), in.Limit+1)
		if err != nil {
			return nil, updateError(err, in.Repo, 0)
		}
		out := &updatesOutput{}
		out.Body.Updates, out.Body.Next, out.Link = cutPage(&in.Page, list, func(u Update) string { return strconv.FormatInt(u.ID, 10) })
		return out, nil
	})
	huma.Register(a, huma.Operation{
		OperationID: "get-update", Tags: []string{TagUpdates}, Method: http.MethodGet, Path: updatePath, Summary: "One update with every condition and every changed input",
		Description: "As the last look found it; explain looks anew.", Metadata: needs("viewer"),
	}, func(ctx context.Context, in *updateInput) (*updateDetailOutput, error) {
		repo := in.Owner + "/" + in.Name
		u, err := s.Update(ctx, repo, in.Number)
		return &updateDetailOutput{u}, updateError(err, repo, in.Number)
	})
	act := func(verb, summary, description string) huma.Operation {
		return huma.Operation{OperationID: verb + "-update", Tags: []string{TagUpdates}, Method: http.MethodPost, Path: updatePath + "/" + verb,
			Summary: summary, Description: description, DefaultStatus: http.StatusAccepted, Metadata: needs("operator")}
	}
	huma.Register(a, act("merge", "Merge an update, and deploy it or not",
		"The wish is recorded and carried out once nothing stands in the way: a person may pass over hold and window, never over the proof. A hold by a person is refused with 409: release it first."),
		func(ctx context.Context, in *mergeInput) (*updateDetailOutput, error) {
			return actOn(ctx, s, in.Owner+"/"+in.Name, in.Number, UpdateAct{Verb: "merge", Head: in.Body.Head, Deploy: in.Body.Deploy == nil || *in.Body.Deploy})
		})
	huma.Register(a, act("hold", "Keep an update from merging by itself", "Takes back an earlier wish to merge. A new head keeps the hold."),
		func(ctx context.Context, in *holdInput) (*updateDetailOutput, error) {
			act := UpdateAct{Verb: "hold"}
			if in.Body != nil {
				act.Until = in.Body.Until
			}
			return actOn(ctx, s, in.Owner+"/"+in.Name, in.Number, act)
		})
	for _, o := range []huma.Operation{
		act("release", "End the hold of an update", "It goes on as policy says. One that nobody holds changes nothing."),
		act("look", "Have an update looked at again now", "It is read from GitHub and judged anew within seconds; for when a webhook was lost."),
	} {
		huma.Register(a, o, func(ctx context.Context, in *updateInput) (*updateDetailOutput, error) {
			verb := o.OperationID[:len(o.OperationID)-len("-update")]
			return actOn(ctx, s, in.Owner+"/"+in.Name, in.Number, UpdateAct{Verb: verb})
		})
	}
}

const updatePath = "/api/v1/repos/{owner}/{name}/updates/{number}"

// actOn answers with the update as it is once the wish is recorded.
func actOn(ctx context.Context, s UpdateService, repo string, number int, act UpdateAct) (*updateDetailOutput, error) {
	if err := s.ActOnUpdate(ctx, actorOf(ctx), repo, number, act); err != nil {
		return nil, updateError(err, repo, number)
	}
	u, err := s.Update(ctx, repo, number)
	return &updateDetailOutput{u}, updateError(err, repo, number)
}

func updateError(err error, repo string, number int) error {
	var refused Refused
	switch {
	case errors.Is(err, ErrUnknown) && number == 0:
		return huma.Error422UnprocessableEntity("Nothing was listed.", &huma.ErrorDetail{Location: "query.repo", Message: "is not watched", Value: repo})
	case errors.As(err, &refused):
		return huma.Error409Conflict(refused.Error())
	}
	return shownError(err, repo)
}
