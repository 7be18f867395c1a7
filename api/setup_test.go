package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/fleet"
)

func (*service) Setup(context.Context) (api.Setup, error) {
	return api.Setup{Address: "https://fleet.example.org", Repos: []api.SetupRepo{{Name: "octo/fleet", Policy: "none"}}}, nil
}

func (*service) LoginLink(_ context.Context, by fleet.Actor, name, role string) (string, time.Time, error) {
	return "https://fleet.example.org/login?token=for-" + name + "-" + role + "-by-" + by.Login, time.Unix(1e9, 0).UTC(), nil
}

func (*service) ProposePolicy(_ context.Context, _ fleet.Actor, repo string) (api.SetupRepo, error) {
	switch repo {
	case "octo/fleet":
		return api.SetupRepo{Name: repo, Policy: "proposed", URL: "https://github.example/octo/fleet/pull/1"}, nil
	case "octo/stubborn":
		return api.SetupRepo{}, fmt.Errorf("%w: GitHub did not do it", api.ErrInvalid)
	}
	return api.SetupRepo{}, api.ErrUnknown
}

func (*service) Examine(context.Context) (api.Report, error) {
	return api.Report{Findings: []api.Finding{{Check: "bus", State: "wrong", Found: "NATS does not answer.", Remedy: "Start it."}}}, nil
}

// The set-up is the same on a server that has no App yet, and on one that has.
func TestTheSetUpIsForAdmins(t *testing.T) {
	t.Parallel()
	bare, whole := http.NewServeMux(), http.NewServeMux()
	api.MountSetup(bare, "test", "build", &service{})
	api.Mount(whole, "test", "build", &service{})
	for name, mux := range map[string]*http.ServeMux{"without an App": bare, "with one": whole} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(mux)
			t.Cleanup(server.Close)
			ctx, admin, operator := t.Context(), &api.Client{Server: server.URL, Token: "all"}, &api.Client{Server: server.URL, Token: "do"}
			got, err := admin.Setup(ctx)
			if err != nil || got.App != nil || got.Address != "https://fleet.example.org" || len(got.Repos) != 1 {
				t.Errorf("set-up: %+v, %v", got, err)
			}
			if link, until, err := admin.LoginLink(ctx, "ada", "operator"); err != nil || !strings.HasSuffix(link, "for-ada-operator-by-all") || until.Unix() != 1e9 {
				t.Errorf("link: %s until %v, %v", link, until, err)
			}
			report, err := admin.Examine(ctx)
			if d := cmp.Diff("Start it.", report.Findings[0].Remedy); d != "" || err != nil || report.OK {
				t.Errorf("examination: %+v, %v", report, err)
			}
			if repo, err := admin.ProposePolicy(ctx, "octo/fleet"); err != nil || repo.Policy != "proposed" {
				t.Errorf("proposed: %+v, %v", repo, err)
			}
			for repo, says := range map[string]string{"octo/other": "404", "octo/stubborn": "GitHub did not do it"} {
				if _, err := admin.ProposePolicy(ctx, repo); err == nil || !strings.Contains(err.Error(), says) {
					t.Errorf("%s: %v", repo, err)
				}
			}
			_, err1 := operator.Setup(ctx)
			_, _, err2 := operator.LoginLink(ctx, "ada", "admin")
			_, err3 := operator.Examine(ctx)
			_, err4 := operator.ProposePolicy(ctx, "octo/fleet")
			for _, err := range []error{err1, err2, err3, err4} {
				if err == nil || !strings.Contains(err.Error(), "403") {
					t.Errorf("an operator: %v", errors.Join(err))
				}
			}
		})
	}
}
