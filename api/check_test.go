package api_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/fleet"
)

func TestOperatorsCheckForUpdates(t *testing.T) {
	t.Parallel()
	_, url := serve(t)
	operator, viewer := &api.Client{Server: url, Token: "do"}, &api.Client{Server: url, Token: "see"}
	want := []fleet.Checked{{Repo: "octo/fleet", Started: []string{".github/workflows/lock.yml"}, Found: "Started by do."}}
	for _, repo := range []string{"", "octo/fleet"} {
		got, err := operator.CheckForUpdates(t.Context(), repo)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", repo, diff)
		}
	}
	if _, err := viewer.CheckForUpdates(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "needs the role operator") {
		t.Errorf("a viewer: %v", err)
	}
	if _, err := operator.CheckForUpdates(t.Context(), "octo/other"); err == nil || !strings.Contains(err.Error(), "octo/other is not watched") {
		t.Errorf("a stranger's: %v", err)
	}
}
