package dashboard

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nixfleet/nixfleet/fleet"
)

func TestAskingForNewerLocks(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		story, path, cookie string
		code                int
		says                string
		open                bool
	}{
		"a check":                         {"idle", "/updates/ask/check", "op", http.StatusOK, "Check 1 repository", true},
		"a check of nothing":              {"empty", "/updates/ask/check", "op", http.StatusOK, "No repository is watched yet.", false},
		"a check, by a viewer":            {"idle", "/updates/ask/check", "view", http.StatusOK, "Read-only", false},
		"inputs":                          {"updates-locks", "/updates/ask/inputs", "op", http.StatusOK, `name="input" value="home-manager"`, true},
		"inputs of the repository":        {"updates-locks", "/updates/ask/inputs?repo=aurora/nixcfg", "op", http.StatusOK, "as NixFleet would pick", true},
		"inputs, by a viewer":             {"updates-locks", "/updates/ask/inputs", "view", http.StatusOK, "Read-only", false},
		"inputs of another":               {"updates-locks", "/updates/ask/inputs?repo=o/%3Cb%3E", "op", http.StatusNotFound, "strategy: host", false},
		"inputs where GitHub brings them": {"idle", "/updates/ask/inputs", "op", http.StatusNotFound, "strategy: host", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(story(t, tt.story).Overview)
			rec := do(newDashboard(t, w, Config{}), request(http.MethodGet, tt.path, tt.cookie, nil))
			body := rec.Body.String()
			if rec.Code != tt.code || !strings.Contains(body, tt.says) || strings.Contains(body, `type="submit" data-act`) != tt.open {
				t.Errorf("it answers %d, want %d, %q and whether it can be pressed %v: %s", rec.Code, tt.code, tt.says, tt.open, body)
			}
		})
	}
}

func TestOnlyHostsThatAreThereAreOffered(t *testing.T) {
	t.Parallel()
	s := story(t, "ask-inputs")
	body := do(newDashboard(t, newWorld(s.Overview), Config{}), request(http.MethodGet, s.Path, "op", nil)).Body.String()
	var offered []string
	for _, m := range regexp.MustCompile(`<option value="([a-z0-9-]+)">`).FindAllStringSubmatch(body, -1) {
		offered = append(offered, m[1])
	}
	if diff := cmp.Diff("csb0 csb1 hsb0 hsb1 hsb8 imac0", strings.Join(offered, " ")); diff != "" {
		t.Errorf("hosts (-want +got):\n%s", diff)
	}
	none := s.Overview
	none.Hosts = nil
	body = do(newDashboard(t, newWorld(none), Config{}), request(http.MethodGet, s.Path, "op", nil)).Body.String()
	if !strings.Contains(body, "No host of this repository is online") {
		t.Errorf("without a host it says %s", body)
	}
}

func TestWishesForNewerLocksAreRecorded(t *testing.T) {
	t.Parallel()
	inputs := url.Values{"repo": {"aurora/nixcfg"}, "host": {"hsb1"}, "input": {"nixpkgs", "disko"}, "as_pull": {"yes"}, "key": {"k"}}
	without := func(name string) url.Values {
		v := url.Values{}
		for k := range inputs {
			if k != name {
				v[k] = inputs[k]
			}
		}
		return v
	}
	for name, tt := range map[string]struct {
		path, cookie string
		form         url.Values
		err          error
		code         int
		want         string
	}{
		"a check":              {"/updates/check", "op", url.Values{}, nil, http.StatusSeeOther, "alice checks "},
		"a check of one":       {"/updates/check", "admin", url.Values{"repo": {"o/r"}}, nil, http.StatusSeeOther, "alice checks o/r"},
		"a viewer's check":     {"/updates/check", "view", url.Values{}, nil, http.StatusForbidden, ""},
		"a check of nothing":   {"/updates/check", "op", url.Values{}, ErrUnknown, http.StatusNotFound, ""},
		"inputs":               {"/updates/inputs", "op", inputs, nil, http.StatusSeeOther, `alice aurora/nixcfg on "hsb1": ["nixpkgs" "disko"], pull true`},
		"a viewer's inputs":    {"/updates/inputs", "view", inputs, nil, http.StatusForbidden, ""},
		"inputs of nothing":    {"/updates/inputs", "op", without("repo"), nil, http.StatusBadRequest, ""},
		"inputs without key":   {"/updates/inputs", "op", without("key"), nil, http.StatusBadRequest, ""},
		"inputs that can't be": {"/updates/inputs", "op", inputs, Refused("Host hsb1 is offline."), http.StatusConflict, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(story(t, "updates-locks").Overview)
			w.askErr = tt.err
			d := newDashboard(t, w, Config{})
			form := url.Values{"build": {d.build}}
			for k, v := range tt.form {
				form[k] = v
			}
			rec := do(d, request(http.MethodPost, tt.path, tt.cookie, form))
			if got := strings.Join(w.asks, ","); rec.Code != tt.code || got != tt.want {
				t.Errorf("it answers %d and records %q, want %d and %q", rec.Code, got, tt.code, tt.want)
			}
		})
	}
}

func TestHowFarANewerLockIs(t *testing.T) {
	t.Parallel()
	for _, s := range fleet.AllProposalStates() {
		if l := lockLook(fleet.LockWork{State: s, Order: fleet.HostHealthy}); l.word == "" || l.word == "Nothing to send" {
			t.Errorf("a lock that is %s is called %q", s, l.word)
		}
	}
	for state, want := range map[fleet.HostState]string{
		fleet.HostOrdered: "Order sent", fleet.HostBuilding: "Making the lock", fleet.HostHealthy: "Nothing to send", fleet.HostFailed: "Failed",
	} {
		if l := lockLook(fleet.LockWork{Order: state}); l.word != want {
			t.Errorf("an order that is %s is called %q, want %q", state, l.word, want)
		}
	}
}
