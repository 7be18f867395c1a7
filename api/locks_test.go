package api_test

import (
	"strings"
	"testing"

	"github.com/nixfleet/nixfleet/api"
)

func TestLocksAreSentByOperators(t *testing.T) {
	t.Parallel()
	_, url := serve(t)
	operator, viewer := &api.Client{Server: url, Token: "do"}, &api.Client{Server: url, Token: "see"}
	base := strings.Repeat("a", 40)
	for name, c := range map[string]struct {
		by   *api.Client
		repo string
		lock api.NewLock
		want string
	}{
		"by a viewer":        {viewer, "octo/fleet", api.NewLock{Base: base, Lock: "{}"}, "needs the role operator"},
		"for a stranger's":   {operator, "octo/other", api.NewLock{Base: base, Lock: "{}"}, "not watched"},
		"without a base":     {operator, "octo/fleet", api.NewLock{Base: "main", Lock: "{}"}, "base"},
		"without a lock":     {operator, "octo/fleet", api.NewLock{Base: base}, "lock"},
		"of no host":         {operator, "octo/fleet", api.NewLock{Base: base, Lock: "{}", Host: "nobody"}, "no such host"},
		"without any bounds": {operator, "octo/fleet", api.NewLock{Base: base, Lock: strings.Repeat("x", 12<<20)}, "413"},
	} {
		if _, err := c.by.ProposeLock(t.Context(), c.repo, c.lock); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", name, err, c.want)
		}
	}
	l, err := operator.ProposeLock(t.Context(), "octo/fleet", api.NewLock{Base: base, Lock: strings.Repeat("\n", 4<<20), Path: "flake.lock"})
	if err != nil || l.ID != "01J" || l.State != "received" || l.Actor != "do" || l.Ended {
		t.Errorf("%+v, %v", l, err)
	}
	if l, err = viewer.Lock(t.Context(), "octo/fleet", "01J"); err != nil || !l.Ended || !l.Again || l.Commit != "" {
		t.Errorf("%+v, %v", l, err)
	}
	if _, err := viewer.Lock(t.Context(), "octo/fleet", "02"); err == nil || !strings.Contains(err.Error(), "no lock of this id") {
		t.Errorf("an unknown one: %v", err)
	}
}
