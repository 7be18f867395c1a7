package api_test

import (
	"strings"
	"testing"

	"github.com/nixfleet/nixfleet/api"
)

func TestUpdatesOfInputsAreOrderedByOperators(t *testing.T) {
	t.Parallel()
	_, url := serve(t)
	operator, viewer := &api.Client{Server: url, Token: "do"}, &api.Client{Server: url, Token: "see"}
	for name, c := range map[string]struct {
		by   *api.Client
		repo string
		ask  api.UpdateInputs
		want string
	}{
		"by a viewer":        {viewer, "octo/fleet", api.UpdateInputs{}, "needs the role operator"},
		"for a stranger's":   {operator, "octo/other", api.UpdateInputs{}, "not watched"},
		"on one that sleeps": {operator, "octo/fleet", api.UpdateInputs{Host: "away"}, "host away is offline"},
		"of far too many":    {operator, "octo/fleet", api.UpdateInputs{Inputs: make([]string, 201)}, "inputs"},
	} {
		if _, err := c.by.UpdateInputs(t.Context(), c.repo, c.ask); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", name, err, c.want)
		}
	}
	u, err := operator.UpdateInputs(t.Context(), "octo/fleet", api.UpdateInputs{Inputs: []string{"nixpkgs"}})
	if err != nil || u.ID != "01K" || u.Host != "web1" || u.Actor != "do" || u.Ended || len(u.Inputs) != 1 {
		t.Errorf("%+v, %v", u, err)
	}
	if u, err = viewer.InputsUpdate(t.Context(), "octo/fleet", "01K"); err != nil || !u.Ended || u.Lock != nil {
		t.Errorf("%+v, %v", u, err)
	}
	if _, err := viewer.InputsUpdate(t.Context(), "octo/fleet", "02"); err == nil || !strings.Contains(err.Error(), "no update of inputs has this id") {
		t.Errorf("an unknown one: %v", err)
	}
}
