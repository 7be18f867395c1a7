package forge

import (
	"testing"

	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge/forgetest"
)

func TestPermissionIsReadByIDAndTellsTheRole(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	for role, may := range map[string]bool{"none": false, "read": false, "triage": false, "write": true, "maintain": true, "admin": true} {
		login := "a-" + role
		must(0, s.SetPermission(fleetRepo, login, role))(t)
		got, err := s.forge.Permission(s.ctx, s.repo, s.account(login))
		if err != nil || got != role || MayWrite(got) != may {
			t.Errorf("%s: %q may write: %v, %v", role, got, MayWrite(got), err)
		}
	}
	if MayWrite("") || MayWrite("owner") {
		t.Error("what is not known may write")
	}
}

func TestPermissionThatIsNotKnownIsAnError(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	must(0, s.SetPermission(fleetRepo, "ada", "write"))(t)
	ada := s.account("ada")
	elsewhere := s.repo
	elsewhere.ID = 999
	for name, c := range map[string]struct {
		repo fleet.Repo
		who  fleet.Actor
	}{
		"nobody of that name":                {s.repo, fleet.Actor{ID: 5, Login: "nobody"}},
		"the name is another's by now":       {s.repo, fleet.Actor{ID: ada.ID + 1, Login: "ada"}},
		"the repository's name is another's": {elsewhere, ada},
		"a name that leads elsewhere":        {s.repo, fleet.Actor{ID: 5, Login: "../../x"}},
		"no id":                              {s.repo, fleet.Actor{Login: "ada"}},
		"no installation":                    {fleet.Repo{ID: s.repo.ID, Owner: "octo", Name: "fleet"}, ada},
	} {
		if role, err := s.forge.Permission(s.ctx, c.repo, c.who); err == nil || role != "" {
			t.Errorf("%s: %q, %v; want an error", name, role, err)
		}
	}
	must(0, s.Rename(fleetRepo, "moved", "octo"))(t)
	if role, err := s.forge.Permission(s.ctx, s.repo, ada); err != nil || role != "write" {
		t.Errorf("after a rename: %q, %v", role, err)
	}
}

// account is an account as webhooks name it.
func (s *site) account(login string) fleet.Actor {
	s.t.Helper()
	c, err := s.forge.as(s.ctx, reader, s.repo)
	u := must(get[userPayload](s.ctx, must(c, err)(s.t), "read account", "users/"+login))(s.t)
	return u.domain()
}
