package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/nixfleet/nixfleet/fleet"
)

// RolloutService is what the API needs to show rollouts and to let people steer them.
// An id is that of a rollout, a beginning of it that no other has, or "latest". What
// can't be done as things are is a [Refused].
type RolloutService interface {
	// Rollouts lists rollouts in a state, or in any with an empty one, newest first: at
	// most so many, of those before the rollout of an id.
	Rollouts(ctx context.Context, state, before string, limit int) ([]Rollout, error)
	Rollout(ctx context.Context, id string) (Rollout, error)
	// StartRollout brings a commit to hosts. A wish that is repeated under the same key
	// is one wish.
	StartRollout(ctx context.Context, by fleet.Actor, w NewRollout, key string) (Rollout, error)
	// SteerRollout pauses, resumes, aborts or rolls back, as verb says.
	SteerRollout(ctx context.Context, by fleet.Actor, id, verb, reason string) (Rollout, error)
	// RetryRollout starts a rollout of the hosts that did not get there.
	RetryRollout(ctx context.Context, by fleet.Actor, id, reason, key string) (Rollout, error)
	// ExcludeHost takes a host out of a rollout.
	ExcludeHost(ctx context.Context, by fleet.Actor, id, host, reason string) (Rollout, error)
	Quarantine(ctx context.Context) ([]Quarantined, error)
	// LiftQuarantine lets a commit spread again; it may be named by its beginning.
	LiftQuarantine(ctx context.Context, by fleet.Actor, commit, reason string) (Quarantined, error)
}

// Refused says in words why something can't be done as things are.
type Refused string

func (r Refused) Error() string { return string(r) }

type rolloutsInput struct {
	Page
	State string `query:"state" doc:"Only those in this state" enum:"planned,running,succeeded,paused,halted,rolling_back,rolled_back,failed,aborted,superseded"`
}

// Rollout is one rollout as the API shows it.
type Rollout struct {
	ID        string         `json:"id"`
	Kind      string         `json:"kind" enum:"deploy,backward,restore"`
	Restores  string         `json:"restores,omitempty" doc:"Id of the rollout that this one undoes"`
	Repo      string         `json:"repo"`
	Commit    string         `json:"commit"`
	State     string         `json:"state"`
	Ended     bool           `json:"ended"`
	Headline  string         `json:"headline"`
	Reason    string         `json:"reason"`
	Actor     string         `json:"actor"`
	OnFailure string         `json:"on_failure,omitempty"`
	StartedAt time.Time      `json:"started_at,omitzero"`
	EndedAt   time.Time      `json:"ended_at,omitzero"`
	Done      int            `json:"done"`
	Failed    int            `json:"failed"`
	Skipped   int            `json:"skipped"`
	Total     int            `json:"total"`
	Revert    *RolloutRevert `json:"revert,omitempty"`
	Waves     []RolloutWave  `json:"waves"`
	Hosts     []RolloutHost  `json:"hosts,omitempty" doc:"Left out of lists"`
}

// RolloutRevert is the pull request that takes a rollout's commit back.
type RolloutRevert struct {
	Number int    `json:"number,omitempty" doc:"Of the pull request"`
	Found  string `json:"found" doc:"What became of it, in one sentence"`
}

// RolloutWave is one group of hosts that goes before the next.
type RolloutWave struct {
	Name  string   `json:"name"`
	Hosts []string `json:"hosts"`
	SoakS int      `json:"soak_s,omitempty" doc:"Seconds to watch before the next wave"`
}

// RolloutHost is one host within a rollout.
type RolloutHost struct {
	Host      string           `json:"host"`
	Wave      int              `json:"wave" doc:"Counted from 1"`
	State     string           `json:"state"`
	Order     string           `json:"order,omitempty"`
	Since     time.Time        `json:"since,omitzero" doc:"When it came into its state"`
	StartedAt time.Time        `json:"started_at,omitzero"`
	EndedAt   time.Time        `json:"ended_at,omitzero"`
	Before    *fleet.System    `json:"before,omitempty" doc:"What ran before, and where a rollback leads"`
	Target    *fleet.System    `json:"target,omitempty" doc:"What it is to run in the end, once that is known"`
	Switched  bool             `json:"switched" doc:"It began to switch"`
	Note      string           `json:"note,omitempty"`
	Failure   *fleet.HostError `json:"failure,omitempty"`
}

// NewRollout is a person's wish to bring a commit to hosts.
type NewRollout struct {
	Repo     string `json:"repo,omitempty" doc:"owner/name; may be left out when the App watches one only" maxLength:"200"`
	Commit   string `json:"commit,omitempty" doc:"A commit on the default branch, by its id or the beginning of it, a branch or a tag; its head if left out" maxLength:"250"`
	Hosts    string `json:"hosts,omitempty" doc:"Selector of the hosts; those of the policy if left out" maxLength:"1000" example:"tag:canary or web1"`
	AtOnce   bool   `json:"at_once,omitempty" doc:"All hosts together instead of the policy's waves"`
	Backward bool   `json:"backward,omitempty" doc:"Also to hosts that run a later commit: they go back"`
	Force    bool   `json:"force,omitempty" doc:"Also where the commit is in quarantine"`
	Reason   string `json:"reason,omitempty" maxLength:"1000"`
}

// Quarantined is a commit that nothing brings to further hosts by itself.
type Quarantined struct {
	Repo    string    `json:"repo"`
	Commit  string    `json:"commit"`
	Rollout string    `json:"rollout" doc:"That showed it to be bad"`
	Reason  string    `json:"reason"`
	At      time.Time `json:"at"`
}

// RolloutOf is a rollout as the API shows it, without its hosts for a list.
func RolloutOf(r fleet.Rollout, repo string, hosts bool) Rollout {
	out := Rollout{
		ID: r.ID, Kind: string(r.Kind), Restores: r.Restores, Repo: repo, Commit: r.Commit, State: string(r.State), Ended: r.State.Terminal(),
		Headline: r.Headline, Reason: r.Reason, Actor: r.Actor, OnFailure: r.Plan.OnFailure, StartedAt: r.StartedAt, EndedAt: r.EndedAt,
		Waves: make([]RolloutWave, 0, len(r.Plan.Waves)),
	}
	out.Done, out.Failed, out.Skipped, out.Total = fleet.Progress(r)
	if r.Revert.Found != "" {
		out.Revert = &RolloutRevert{Number: r.Revert.Number, Found: r.Revert.Found}
	}
	for _, w := range r.Plan.Waves {
		out.Waves = append(out.Waves, RolloutWave{Name: w.Name, Hosts: w.Hosts, SoakS: int(w.Soak / time.Second)})
	}
	if !hosts {
		return out
	}
	for _, h := range r.Hosts {
		out.Hosts = append(out.Hosts, RolloutHost{
			Host: h.Host, Wave: h.Wave + 1, State: string(h.State), Order: h.Order, Since: h.Since, StartedAt: h.StartedAt, EndedAt: h.EndedAt,
			Before: known(h.Before), Target: known(h.Target), Switched: h.Switched, Note: h.Note, Failure: h.Failure,
		})
	}
	return out
}

func known(s fleet.System) *fleet.System {
	if s.Path == "" {
		return nil
	}
	return &s
}

// rolloutError puts what a rollout's service answers into HTTP's words.
func rolloutError(err error, what string) error {
	var refused Refused
	var field *fleet.FieldError
	switch {
	case errors.Is(err, ErrUnknown):
		return huma.Error404NotFound("There is no " + what + ".")
	case errors.Is(err, ErrInvalid):
		return huma.Error422UnprocessableEntity(err.Error())
	case errors.As(err, &field):
		return huma.Error422UnprocessableEntity("The rollout was not started.", &huma.ErrorDetail{Location: "header." + field.Field, Message: field.Text})
	case errors.As(err, &refused):
		return huma.Error409Conflict(refused.Error())
	}
	return err
}

type rolloutInput struct {
	ID string `path:"id" doc:"Id of the rollout, a beginning of it that no other has, or latest" maxLength:"26"`
}

type reasonBody struct {
	Reason string `json:"reason,omitempty" maxLength:"1000"`
}

type steerInput struct {
	ID   string      `path:"id" doc:"Id of the rollout, a beginning of it that no other has, or latest" maxLength:"26"`
	Key  string      `header:"Idempotency-Key" doc:"Any text that names this request. Repeated with the same key within a day, it is carried out once and answered alike" maxLength:"200"`
	Body *reasonBody `required:"false"`
}

func (in *steerInput) reason() string {
	if in.Body == nil {
		return ""
	}
	return in.Body.Reason
}

type rolloutOutput struct{ Body Rollout }

func rollouts(a huma.API, s RolloutService) {
	huma.Register(a, huma.Operation{
		OperationID: "list-rollouts", Tags: []string{TagRollouts}, Method: http.MethodGet, Path: "/api/v1/rollouts", Summary: "Rollouts, newest first",
		Description: "Without their hosts; get one rollout for those.",
		Metadata:    needs("viewer"),
	}, func(ctx context.Context, in *rolloutsInput) (*rolloutsOutput, error) {
		list, err := s.Rollouts(ctx, in.State, in.After(), in.Limit+1)
		if err != nil {
			return nil, err
		}
		out := &rolloutsOutput{}
		out.Body.Rollouts, out.Body.Next, out.Link = cutPage(&in.Page, list, func(r Rollout) string { return r.ID })
		return out, nil
	})
	huma.Register(a, huma.Operation{
		OperationID: "get-rollout", Tags: []string{TagRollouts}, Method: http.MethodGet, Path: "/api/v1/rollouts/{id}", Summary: "One rollout with its hosts",
		Description: "Its waves, and each host with its state, how long it has been in it, and why it failed.",
		Metadata:    needs("viewer"),
	}, func(ctx context.Context, in *rolloutInput) (*rolloutOutput, error) {
		r, err := s.Rollout(ctx, in.ID)
		return &rolloutOutput{r}, rolloutError(err, "rollout "+in.ID)
	})
	huma.Register(a, huma.Operation{
		OperationID: "start-rollout", Tags: []string{TagRollouts}, Method: http.MethodPost, Path: "/api/v1/rollouts", Summary: "Bring a commit to hosts",
		Description:   "The commit goes to the hosts in the waves of the policy. A commit in quarantine needs force.",
		DefaultStatus: http.StatusCreated, Metadata: needs("operator"),
	}, func(ctx context.Context, in *startInput) (*rolloutOutput, error) {
		r, err := s.StartRollout(ctx, actorOf(ctx), in.Body, in.Key)
		return &rolloutOutput{r}, rolloutError(err, "watched repository of this name")
	})
	for _, verb := range []struct{ name, does, means string }{
		{"pause", "Order no further host", "Hosts that work on their order finish it. A paused rollout stays paused until somebody resumes it."},
		{"resume", "Go on with a paused rollout", "It goes on where it stood. One that runs already changes nothing."},
		{"abort", "End it; hosts that work finish what they do", "Hosts that switched keep what they run. It can not be taken up again; retry starts another."},
		{"rollback", "Bring the hosts that switched back to what they ran before", "Each goes back to its own system before, by a rollout of its own kind, restore."},
	} {
		huma.Register(a, huma.Operation{
			OperationID: verb.name + "-rollout", Tags: []string{TagRollouts}, Method: http.MethodPost, Path: "/api/v1/rollouts/{id}/" + verb.name, Summary: verb.does,
			Description: verb.means,
			Metadata:    needs("operator"),
		}, func(ctx context.Context, in *steerInput) (*rolloutOutput, error) {
			r, err := s.SteerRollout(ctx, actorOf(ctx), in.ID, verb.name, in.reason())
			return &rolloutOutput{r}, rolloutError(err, "rollout "+in.ID)
		})
	}
	huma.Register(a, huma.Operation{
		OperationID: "retry-rollout", Tags: []string{TagRollouts}, Method: http.MethodPost, Path: "/api/v1/rollouts/{id}/retry",
		Description: "The hosts that failed, went back, or were skipped, with the same commit.",
		Summary:     "Start a rollout of the hosts that did not get there", DefaultStatus: http.StatusCreated, Metadata: needs("operator"),
	}, func(ctx context.Context, in *steerInput) (*rolloutOutput, error) {
		r, err := s.RetryRollout(ctx, actorOf(ctx), in.ID, in.reason(), in.Key)
		return &rolloutOutput{r}, rolloutError(err, "rollout "+in.ID)
	})
	huma.Register(a, huma.Operation{
		OperationID: "exclude-host", Tags: []string{TagRollouts}, Method: http.MethodDelete, Path: "/api/v1/rollouts/{id}/hosts/{host}", Summary: "Take a host out of a rollout",
		Description:   "The host is passed over. One that already works on its order finishes it.",
		DefaultStatus: http.StatusOK, Metadata: needs("operator"),
	}, func(ctx context.Context, in *excludeInput) (*rolloutOutput, error) {
		r, err := s.ExcludeHost(ctx, actorOf(ctx), in.ID, in.Host, in.Reason)
		return &rolloutOutput{r}, rolloutError(err, "rollout "+in.ID+" with a host "+in.Host)
	})
	quarantine(a, s)
}

type rolloutsOutput struct {
	Link string `header:"Link" doc:"Address of the next page, where there is one"`
	Body struct {
		Rollouts []Rollout `json:"rollouts"`
		Next     string    `json:"next,omitempty" doc:"Cursor of the next page; left out on the last"`
	}
}

type startInput struct {
	Key  string `header:"Idempotency-Key" doc:"Any text that names this request. Repeated with the same key within a day, it is carried out once and answered alike" maxLength:"200"`
	Body NewRollout
}

type excludeInput struct {
	ID     string `path:"id" doc:"Id of the rollout, a beginning of it that no other has, or latest" maxLength:"26"`
	Host   string `path:"host" maxLength:"63"`
	Reason string `query:"reason" maxLength:"1000" doc:"For the record"`
}
