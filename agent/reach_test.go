package agent

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"
)

func TestLostNetworkIsToldFromServerDown(t *testing.T) {
	t.Parallel()
	a, b := []string{"a:1"}, []string{"b:1"}
	for _, tt := range []struct {
		name        string
		before, now reach
		want        network
	}{
		{"the bus answers", reach{Bus: true}, reach{Bus: true}, networkWell},
		{"the bus answers again", reach{Anchors: a}, reach{Bus: true}, networkWell},
		{"the bus answers, the anchor no more", reach{Bus: true, Anchors: a}, reach{Bus: true}, networkWell},
		{"only the anchor answers", reach{Bus: true, Anchors: a}, reach{Anchors: a}, serverDown},
		{"as before: only the anchor", reach{Anchors: a}, reach{Anchors: a}, serverDown},
		{"one of two anchors", reach{Bus: true, Anchors: []string{"a:1", "b:1"}}, reach{Anchors: b}, serverDown},
		{"another anchor than before", reach{Bus: true, Anchors: a}, reach{Anchors: b}, networkLost},
		{"an anchor that never answered before", reach{Bus: true}, reach{Anchors: a}, networkLost},
		{"nothing", reach{Bus: true, Anchors: a}, reach{}, networkLost},
		{"nothing, and no anchor to ask", reach{Bus: true}, reach{}, networkLost},
	} {
		if got := tt.now.since(tt.before); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestAnchorOf(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"https://github.com/a/b.git":     "github.com:443",
		"https://x:secret@host:8443/a":   "host:8443",
		"http://host/a":                  "host:80",
		"ssh://git@host/a":               "host:22",
		"ssh://git@[2001:db8::1]:2222/a": "[2001:db8::1]:2222",
		"git@github.com:a/b.git":         "github.com:22",
		"host:a/b":                       "host:22",
		"file:///srv/a":                  "",
		"/srv/a":                         "",
		"../a":                           "",
		"ext::sh -c true":                "",
		"":                               "",
	} {
		if got := anchorOf(address); got != want {
			t.Errorf("%q: %q, want %q", address, got, want)
		}
	}
}

func TestAnchorsAreOutsideOfTheHost(t *testing.T) {
	t.Parallel()
	tk := &task{Agent: &Agent{cfg: Config{Anchors: []string{"server:443", "localhost:1"}}, notes: &notebook{}}}
	tk.order.Policy.Anchors = []string{"a:1", "127.0.0.1:1", "[::1]:1", "no port", "a:1", ":1"}
	tk.order.Repo = "git@forge:a/b"
	if got, want := tk.anchors(), []string{"a:1", "server:443", "forge:22"}; !slices.Equal(got, want) {
		t.Errorf("anchors %q, want %q", got, want)
	}
	for range 100 {
		tk.order.Policy.Anchors = append(tk.order.Policy.Anchors, net.JoinHostPort("h", string(rune('a'+len(tk.order.Policy.Anchors)))))
	}
	if got := tk.anchors(); len(got) != maxAnchors {
		t.Errorf("%d anchors", len(got))
	}
}

func TestProbe(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.2:0") // answers 127.0.0.1, as another machine would
	if err != nil {
		t.Skip(err)
	}
	defer l.Close()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = gone.Close()
	silent := errors.New("silent")
	c := Config{FreshRoundTrip: func(context.Context) error { return silent }}
	own, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	r, bus := c.probe(t.Context(), []string{gone.Addr().String(), l.Addr().String(), own.Addr().String()})
	if r.Bus || !errors.Is(bus, silent) || !slices.Equal(r.Anchors, []string{l.Addr().String()}) || r.nothing() {
		t.Errorf("%+v, %v; an address of this machine is no proof of a network", r, bus)
	}
}

func TestUnitsAreComparedWithThoseBefore(t *testing.T) {
	t.Parallel()
	asked := func(failed ...string) units { return units{Failed: failed, Known: true} }
	unasked := units{Problem: "no answer"}
	for _, tt := range []struct {
		name        string
		before, now units
		exit        int
		want        string // code; "" for none
		lasting     bool
	}{
		{"none", asked(), asked(), 0, "", false},
		{"the same", asked("a"), asked("a"), 0, "", false},
		{"one less", asked("a", "b"), asked("a"), 0, "", false},
		{"a new one", asked("a"), asked("a", "b"), 0, findUnitsFailed, true},
		{"status 4 and the same", asked("a"), asked("a"), exitUnitsFailed, "", false},
		{"status 4 and none any more", asked(), asked(), exitUnitsFailed, "", false},
		{"status 4 and a new one", asked("a"), asked("b"), exitUnitsFailed, findUnitsFailed, true},
		{"can't be asked now", asked(), unasked, 0, findUnitsUnknown, false},
		{"could not be asked before", unasked, asked("a"), 0, findUnitsFailed, true},
		{"could not be asked before, none now", unasked, asked(), 0, "", false},
		{"no systemd", units{}, units{}, 0, "", false},
		{"status 4 without systemd", units{}, units{}, exitUnitsFailed, findUnitsFailed, true},
	} {
		bad := checkUnits(tt.before, tt.now, activated{ExitCode: tt.exit})
		if (bad == nil) != (tt.want == "") || bad != nil && (bad.code != tt.want || bad.lasting != tt.lasting) {
			t.Errorf("%s: %+v, want %q", tt.name, bad, tt.want)
		}
	}
}
