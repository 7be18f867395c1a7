package fleet

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestRoleByPermission(t *testing.T) {
	t.Parallel()
	for permission, want := range map[string]string{
		"none": RoleNone, "read": RoleViewer, "triage": RoleViewer, "write": RoleOperator, "maintain": RoleOperator, "admin": RoleAdmin,
		"": RoleNone, "owner": RoleNone, "Admin": RoleNone,
	} {
		if role, why := RoleBy([]Grant{{"o/a", permission}}); role != want || why == "" {
			t.Errorf("%q makes %q (%s), want %q", permission, role, why, want)
		}
	}
	for name, tt := range map[string]struct {
		grants    []Grant
		role, why string
	}{
		"no repository": {nil, RoleNone, "no role, since no repository is watched"},
		"the least of two": {[]Grant{{"o/a", "admin"}, {"o/b", "write"}}, RoleOperator,
			"write on o/b, the least of 2 repositories"},
		"none on one is none": {[]Grant{{"o/a", "admin"}, {"o/b", "none"}}, RoleNone, "no access to o/b"},
		"admin of all":        {[]Grant{{"o/a", "admin"}, {"o/b", "admin"}}, RoleAdmin, "admin on o/a"},
	} {
		if role, why := RoleBy(tt.grants); role != tt.role || why != tt.why {
			t.Errorf("%s: %q, %q", name, role, why)
		}
	}
}

func TestARoleNeverGrows(t *testing.T) {
	t.Parallel()
	role := rapid.SampledFrom([]string{RoleNone, RoleViewer, RoleOperator, RoleAdmin, "", "root"})
	permission := rapid.SampledFrom([]string{"none", "read", "triage", "write", "maintain", "admin", "else"})
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		given, own := role.Draw(t, "given"), role.Draw(t, "own")
		age := time.Duration(rapid.IntRange(0, 60).Draw(t, "minutes")) * time.Minute
		may, confirmed := RoleNow(given, own, now.Add(-age), now)
		for _, most := range []string{given, own} {
			if may != RoleNone && !RoleCovers(most, may) {
				t.Errorf("%s and %s make %s", given, own, may)
			}
		}
		if age >= RoleTrust && RoleCovers(may, RoleOperator) || confirmed != (may == LesserRole(given, own)) {
			t.Errorf("after %v: %s, confirmed %v", age, may, confirmed)
		}
		var grants []Grant
		for _, p := range rapid.SliceOfN(permission, 1, 4).Draw(t, "permissions") {
			grants = append(grants, Grant{"o/r", p})
		}
		all, _ := RoleBy(grants)
		for _, g := range grants {
			if one, _ := RoleBy([]Grant{g}); all != RoleNone && !RoleCovers(one, all) {
				t.Errorf("%+v make %s", grants, all)
			}
		}
	})
}
