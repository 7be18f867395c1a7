package fleet

import (
	"testing"
	"time"
)

func TestAGenerationCameByTheOrderBeforeIt(t *testing.T) {
	t.Parallel()
	at := func(minute int) time.Time { return time.Date(2026, 11, 22, 12, minute, 0, 0, time.UTC) }
	r := HostRecord{Brought: []SystemOrder{
		{Path: "/nix/store/a", Order: "late", Kind: OrderSwitch, IssuedAt: at(30)},
		{Path: "/nix/store/a", Order: "trial", Kind: OrderTest, IssuedAt: at(9)},
		{Path: "/nix/store/b", Order: "other", Kind: OrderSwitch, IssuedAt: at(8)},
		{Path: "/nix/store/a", Order: "it", Kind: OrderDeploy, IssuedAt: at(7)},
		{Path: "/nix/store/a", Order: "old", Kind: OrderDeploy, IssuedAt: at(1)},
	}}
	for _, c := range []struct {
		what string
		g    Generation
		want string
	}{
		{"the newest before it", Generation{System: System{Path: "/nix/store/a"}, At: at(10)}, "it"},
		{"again, later", Generation{System: System{Path: "/nix/store/a"}, At: at(31)}, "late"},
		{"before any", Generation{System: System{Path: "/nix/store/a"}, At: at(0)}, ""},
		{"by hand", Generation{System: System{Path: "/nix/store/c"}, At: at(10)}, ""},
	} {
		if o, known := r.BroughtBy(c.g); o.Order != c.want || known != (c.want != "") {
			t.Errorf("%s: %q, %v", c.what, o.Order, known)
		}
	}
}
