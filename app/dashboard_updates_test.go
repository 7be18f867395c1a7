package app

import (
	"errors"
	"testing"

	"github.com/nixfleet/nixfleet/dashboard"
	"github.com/nixfleet/nixfleet/fleet"
)

func TestAPressForNewerInputsIsOneWish(t *testing.T) {
	t.Parallel()
	p := newProposing(t)
	p.host("web1")
	x, by := updates{p.App}, fleet.Actor{Login: "ada"}
	wish := dashboard.InputsWish{Repo: pressedRepo, Inputs: []string{"input"}, Key: "one showing of the form"}
	for range 2 {
		host, err := x.UpdateInputs(t.Context(), by, wish)
		must(t, err)
		if host != "web1" {
			t.Errorf("%s makes the lock", host)
		}
	}
	works, err := x.LockWorks(t.Context())
	must(t, err)
	if len(works) != 1 || works[0].Host != "web1" || works[0].Actor != "ada" || works[0].Order != fleet.HostOrdered {
		t.Errorf("two presses are %+v", works)
	}
	wish.Key, wish.Host = "another", "nobody"
	_, err = x.UpdateInputs(t.Context(), by, wish)
	if refused, ok := errors.AsType[dashboard.Refused](err); !ok || refused.Error() != `Nothing was asked for: octo/fleet has no host "nobody".` {
		t.Errorf("a host that there is not: %v", err)
	}
	wish.Repo = "octo/other"
	if _, err = x.UpdateInputs(t.Context(), by, wish); !errors.Is(err, dashboard.ErrUnknown) {
		t.Errorf("a stranger's repository: %v", err)
	}
}
