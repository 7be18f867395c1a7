package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/nixfleet/nixfleet/fleet"
)

// SetupService is what the set-up needs of the product. It also serves a server that
// has no GitHub App yet.
type SetupService interface {
	Doorkeeper
	// Setup says how far the set-up has come.
	Setup(ctx context.Context) (Setup, error)
	// LoginLink makes a one-time address that signs in past GitHub, under a name and with
	// a role. Who may not have one made is ErrForbidden; a name that can't be is ErrInvalid.
	LoginLink(ctx context.Context, by fleet.Actor, name, role string) (address string, expires time.Time, err error)
	// ProposePolicy opens the pull request with the policy file of a repository, named
	// owner/name, or finds the one that was opened before.
	ProposePolicy(ctx context.Context, by fleet.Actor, repo string) (SetupRepo, error)
	// Examine checks everything that has to work, which takes up to half a minute.
	Examine(ctx context.Context) (Report, error)
}

// Setup is how far the set-up has come.
type Setup struct {
	Address    string      `json:"address" doc:"The server's public address"`
	App        *SetupApp   `json:"app" doc:"The GitHub App; null where there is none yet"`
	Problem    string      `json:"problem,omitempty" doc:"What keeps it from going on, and what to do"`
	InstallURL string      `json:"install_url,omitempty" doc:"Where the App is installed on a repository"`
	Repos      []SetupRepo `json:"repos"`
}

// SetupApp is the GitHub App.
type SetupApp struct {
	Slug string `json:"slug"`
	Page string `json:"page"`
}

// SetupRepo is a repository that the App is installed on.
type SetupRepo struct {
	Name   string `json:"name" doc:"owner/name"`
	Policy string `json:"policy" enum:"none,file,proposed,declined,unknown"`
	URL    string `json:"url,omitempty" doc:"Of the policy file or of the pull request"`
}

// Report is what an examination found.
type Report struct {
	OK       bool      `json:"ok" doc:"Nothing is wrong; there may be remarks"`
	At       time.Time `json:"at"`
	Findings []Finding `json:"findings"`
}

// Finding is one thing that was looked at.
type Finding struct {
	Check  string `json:"check" doc:"What was looked at" example:"webhook"`
	State  string `json:"state" enum:"ok,note,wrong,unknown" doc:"note: works, but not all of it; unknown: could not be found out"`
	Found  string `json:"found"`
	Remedy string `json:"remedy,omitempty" doc:"What to do about it"`
}

type setupOutput struct{ Body Setup }

type reportOutput struct{ Body Report }

type setupRepoOutput struct{ Body SetupRepo }

type loginLinkInput struct {
	Body struct {
		Name string `json:"name" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,38}$" doc:"Whose name the history shall bear" example:"ada"`
		Role string `json:"role" enum:"viewer,operator,admin"`
	}
}

type loginLinkOutput struct {
	Body struct {
		Address string    `json:"address" doc:"Works once"`
		Expires time.Time `json:"expires"`
	}
}

type proposeInput struct {
	Body struct {
		Repo string `json:"repo" maxLength:"201" doc:"owner/name" example:"alice/nixcfg"`
	}
}

// MountSetup adds the routes that a server without a GitHub App has.
func MountSetup(mux *http.ServeMux, version, build string, s SetupService) {
	a := open(mux, version, s)
	setups(a, s)
	versions(a, version, build)
	docs(mux, a)
}

func setups(a huma.API, s SetupService) {
	op := func(id, method, path, summary, description string) huma.Operation {
		return huma.Operation{OperationID: id, Tags: []string{TagServer}, Method: method, Path: "/api/v1" + path,
			Summary: summary, Description: description, Metadata: needs("admin")}
	}
	huma.Register(a, op("get-setup", http.MethodGet, "/setup", "How far the set-up has come", "Also where there is no GitHub App yet."),
		func(ctx context.Context, _ *struct{}) (*setupOutput, error) {
			got, err := s.Setup(ctx)
			return &setupOutput{got}, err
		})
	link := op("make-login-link", http.MethodPost, "/login-links", "A one-time address that signs in past GitHub",
		"For the set-up and for emergencies; with the admin token only. The history tells who made it, and who came in by it.")
	link.Metadata = needsAndTells("admin")
	huma.Register(a, link,
		func(ctx context.Context, in *loginLinkInput) (*loginLinkOutput, error) {
			out := &loginLinkOutput{}
			var err error
			out.Body.Address, out.Body.Expires, err = s.LoginLink(ctx, actorOf(ctx), in.Body.Name, in.Body.Role)
			return out, tokenError(err)
		})
	huma.Register(a, op("propose-policy", http.MethodPost, "/setup/policy", "Open a pull request with the policy file, once",
		"Finds the one that was opened before."),
		func(ctx context.Context, in *proposeInput) (*setupRepoOutput, error) {
			got, err := s.ProposePolicy(ctx, actorOf(ctx), in.Body.Repo)
			if errors.Is(err, ErrUnknown) {
				return nil, huma.Error404NotFound("NixFleet does not watch " + in.Body.Repo + "; install the App on it first.")
			}
			return &setupRepoOutput{got}, shownError(err, in.Body.Repo)
		})
	huma.Register(a, op("examine", http.MethodPost, "/doctor", "Check everything that has to work; takes up to half a minute",
		"GitHub and its webhooks, the database, the bus, the clock: each with what was found and what to do."),
		func(ctx context.Context, _ *struct{}) (*reportOutput, error) {
			got, err := s.Examine(ctx)
			return &reportOutput{got}, err
		})
}

// Setup says how far the set-up has come.
func (c *Client) Setup(ctx context.Context) (Setup, error) {
	var out Setup
	err := c.call(ctx, http.MethodGet, "/api/v1/setup", nil, &out)
	return out, err
}

// LoginLink makes a one-time address that signs in past GitHub.
func (c *Client) LoginLink(ctx context.Context, name, role string) (string, time.Time, error) {
	var out struct {
		Address string    `json:"address"`
		Expires time.Time `json:"expires"`
	}
	err := c.act(ctx, "/api/v1/login-links", map[string]string{"name": name, "role": role}, &out)
	return out.Address, out.Expires, err
}

// ProposePolicy opens the pull request with the policy file of a repository.
func (c *Client) ProposePolicy(ctx context.Context, repo string) (SetupRepo, error) {
	var out SetupRepo
	err := c.act(ctx, "/api/v1/setup/policy", map[string]string{"repo": repo}, &out)
	return out, err
}

// Examine checks everything that has to work.
func (c *Client) Examine(ctx context.Context) (Report, error) {
	var out Report
	err := c.call(ctx, http.MethodPost, "/api/v1/doctor", nil, &out)
	return out, err
}
