package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/nixfleet/nixfleet/fleet"
)

// ErrExists is returned by [Service.NewHost] for a name that is taken.
var ErrExists = errors.New("a host of this name exists")

// ErrUnknown is returned by [Service.RevokeHost], and by [Service.NewHost] with
// Again, for a name that no host has.
var ErrUnknown = errors.New("no host of this name")

// ErrInvalid is wrapped by errors whose text tells the caller what to change.
var ErrInvalid = errors.New("invalid request")

// Service is what the API needs of the product.
type Service interface {
	SetupService
	UpdateService
	EventService
	KeyService
	LogService
	OrderService
	HostService
	RolloutService
	AuditService
	ReceiverService
	TokenService
	// Authenticate returns who a bearer token belongs to and the role it has:
	// viewer, operator or admin. One that is not known, or not any more, is ErrToken, and
	// TooSoon where too many of them came from one address.
	Authenticate(ctx context.Context, token string) (fleet.Actor, string, error)
	// Overview is the read model that the dashboard shows, described.
	Overview(ctx context.Context) (fleet.Overview, error)
	// NewHost records a host and returns its one-time enrolment token, which is
	// kept nowhere in clear, and when it expires.
	NewHost(ctx context.Context, by fleet.Actor, h NewHost) (token string, expires time.Time, err error)
	// Policy tells what holds for a repository, named owner/name. One that is not
	// watched is ErrUnknown.
	Policy(ctx context.Context, repo string) (Policy, error)
	// SetPolicy changes the settings of a repository without a policy file. Where
	// there is one, it is ErrFileRules; what is no policy is ErrInvalid.
	SetPolicy(ctx context.Context, by fleet.Actor, repo, settings string) (Policy, error)
	// Explain looks at an update now and judges it, with suppositions if there are any.
	Explain(ctx context.Context, repo string, number int, w fleet.WhatIf) (Explanation, error)
	// ProposeLock takes a lock for a repository. What could never be committed is ErrInvalid.
	ProposeLock(ctx context.Context, by fleet.Actor, repo string, l NewLock) (Lock, error)
	// Lock tells what became of a lock that was sent.
	Lock(ctx context.Context, repo, id string) (Lock, error)
	// UpdateInputs has a host make a newer lock. What can't be is ErrInvalid.
	UpdateInputs(ctx context.Context, by fleet.Actor, repo string, u UpdateInputs) (InputsUpdate, error)
	// InputsUpdate tells what became of an order for a newer lock.
	InputsUpdate(ctx context.Context, repo, id string) (InputsUpdate, error)
	// RevokeHost takes a host's credential away and cuts its connection.
	RevokeHost(ctx context.Context, by fleet.Actor, name string) error
}

// NewHost is a host that is about to be enrolled.
type NewHost struct {
	Name string   `json:"name" doc:"Name of the host" pattern:"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$" example:"web1"`
	Attr string   `json:"attr,omitempty" doc:"Flake attribute that builds it; not with again" maxLength:"300" pattern:"^(nixos|darwin|home)Configurations\\.[A-Za-z0-9_@.-]+$" example:"nixosConfigurations.web1"`
	Repo string   `json:"repo,omitempty" doc:"owner/name of its repository; may be left out when the App watches one only" example:"alice/nixcfg"`
	Tags []string `json:"tags,omitempty" doc:"Tags that selectors use" example:"[\"canary\"]"`
	Mode string   `json:"mode,omitempty" doc:"How it is treated: fleet takes part in rollouts, manual does not, automatic follows the default branch by itself" enum:"fleet,manual,automatic" default:"fleet"`
	// Again is for a machine that was set up anew: the host keeps attribute, tags and
	// history, and the key that it had is revoked.
	Again bool `json:"again,omitempty" doc:"The host is known and its machine was set up anew: revoke its key, and keep everything else"`
}

// Mount adds the routes under /api/v1 to mux, and answers for whatever else is asked
// for under /api/.
func Mount(mux *http.ServeMux, version, build string, s Service) {
	a := open(mux, version, s)
	hosts(a, s)
	keys(a, s)
	host(a, s)
	updates(a, s)
	checks(a, s)
	orders(a, s)
	policies(a, s)
	locks(a, s)
	logs(a, s)
	inputs(a, s)
	rollouts(a, s)
	audit(a, s)
	receivers(a, s)
	setups(a, s)
	tokens(a, s)
	versions(a, version, build)
	streamEvents(a, s)
	docs(mux, a)
	mux.HandleFunc("/api/", nothingHere(mux, version))
}

// Doorkeeper is what the API needs of the product before it comes to an operation.
type Doorkeeper interface {
	// Authenticate returns who a bearer token belongs to and the role it has:
	// viewer, operator or admin. One that is not known, or not any more, is ErrToken, and
	// TooSoon where too many of them came from one address.
	Authenticate(ctx context.Context, token string) (fleet.Actor, string, error)
	// BeginOnce takes the turn to carry out a request with a key, or finds what it was
	// answered; sum stands for all that is asked for. A key of another request is
	// ErrOtherRequest, one whose request is not answered yet ErrUnderWay.
	BeginOnce(ctx context.Context, by fleet.Actor, key string, sum []byte) (Turn, *Answer, error)
	// EndOnce keeps what the request of a turn was answered, for a day.
	EndOnce(ctx context.Context, t Turn, a Answer) error
	// DropOnce gives a turn back of which nothing came.
	DropOnce(ctx context.Context, t Turn) error
	// Failed is told what went wrong within the server in an operation, for its log.
	Failed(operation, why string)
}

const docsPath = "/api/v1/docs"

// open is an API without routes, apart from those of its description.
func open(mux *http.ServeMux, version string, s Doorkeeper) huma.API {
	config := huma.DefaultConfig("NixFleet", version)
	config.CreateHooks = nil // no $schema in answers, nor links to it
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "/api/v1/openapi", "", "/api/v1/schemas"
	config.Info.Description = about
	config.Tags = tags()
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"token": {
		Type: "http", Scheme: "bearer", Description: "A token with a role: viewer, operator or admin. Each may do what the ones before it may.",
	}}
	config.OnAddOperation = append(config.OnAddOperation, describe)
	config.Transformers = append(config.Transformers, finish(s))
	a := humago.New(mux, config)
	a.UseMiddleware(sign(version), authenticate(a, s), once(a, s))
	return a
}

const about = "Everything that the dashboard and the command line do. Requests and answers are JSON; " +
	"a refusal is application/problem+json (RFC 9457). Lists come in pages; what acts may be repeated with an Idempotency-Key."

// versionHeader tells callers which server they speak to.
const versionHeader = "Nixfleet-Version"

// sign says in every answer which version gave it, and that nobody shall keep it.
func sign(version string) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		ctx.SetHeader(versionHeader, version)
		ctx.SetHeader("Cache-Control", "no-store")
		next(ctx)
	}
}

// ErrToken says no more than that: a stranger learns nothing from it.
var ErrToken = errors.New("the token is not known, or it has expired")

// TooSoon is how long the caller has to wait before the next try.
type TooSoon time.Duration

func (TooSoon) Error() string { return "too many tokens from this address were wrong" }

type callerKey struct{}

// caller is whose token a request carries, and what it may do.
type caller struct {
	actor fleet.Actor
	role  string
}

// roles in ascending order of what they may do.
var roles = map[string]int{"viewer": 1, "operator": 2, "admin": 3}

func authenticate(a huma.API, s Doorkeeper) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		token, ok := strings.CutPrefix(ctx.Header("Authorization"), "Bearer ")
		if !ok || token == "" {
			ctx.SetHeader("WWW-Authenticate", "Bearer")
			_ = huma.WriteErr(a, ctx, http.StatusUnauthorized, "This needs a token: send the header \"Authorization: Bearer TOKEN\".")
			return
		}
		actor, role, err := s.Authenticate(ctx.Context(), token)
		if err != nil {
			ctx.SetHeader("WWW-Authenticate", `Bearer error="invalid_token"`)
			refuseToken(a, ctx, err)
			return
		}
		least := roleOf(ctx.Operation())
		if roles[role] < roles[least] || roles[least] == 0 {
			_ = huma.WriteErr(a, ctx, http.StatusForbidden, "This needs the role "+least+"; the token has "+role+".")
			return
		}
		next(huma.WithContext(ctx, context.WithValue(fleet.By(ctx.Context(), fleet.WayAPI), callerKey{}, caller{actor, role})))
	}
}

// refuseToken says why a token lets nobody in.
func refuseToken(a huma.API, ctx huma.Context, err error) {
	early, isEarly := errors.AsType[TooSoon](err)
	switch {
	case isEarly:
		ctx.SetHeader("Retry-After", strconv.Itoa(int(time.Duration(early)/time.Second)+1))
		_ = huma.WriteErr(a, ctx, http.StatusTooManyRequests, "Too many tokens from this address were wrong. Wait, and look at the token.")
	case errors.Is(err, ErrToken):
		_ = huma.WriteErr(a, ctx, http.StatusUnauthorized, "The token is not known, or it has expired.")
	default:
		_ = huma.WriteErr(a, ctx, http.StatusServiceUnavailable, "The token could not be checked, because the database did not answer. Nothing was changed; try again.")
	}
}

func callerOf(ctx context.Context) caller {
	c, _ := ctx.Value(callerKey{}).(caller)
	return c
}

func actorOf(ctx context.Context) fleet.Actor { return callerOf(ctx).actor }
