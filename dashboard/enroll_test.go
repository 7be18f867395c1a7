package dashboard

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/nixfleet/nixfleet/fleet"
)

// secretToken is what nothing but the answer to a post may hold.
const secretToken = "nft_7Q2ZK5J4"

func (w *world) Enrol(_ context.Context, by fleet.Actor, h fleet.Newcomer, again bool) (string, time.Time, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asks = append(w.asks, fmt.Sprintf("%s enrols %s %s %v %s %s again=%v", by.Login, h.Host.Name, h.Host.Attr, h.Host.Tags, h.Host.Mode, h.Repo, again))
	if w.enrolErr != nil {
		return "", time.Time{}, w.enrolErr
	}
	h.Expires = noon.Add(time.Hour)
	w.newcomer = &h
	return secretToken, h.Expires, nil
}

func (w *world) Newcomer(_ context.Context, name string) (fleet.Newcomer, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.newcomer == nil || w.newcomer.Host.Name != name {
		return fleet.Newcomer{}, ErrUnknown
	}
	return *w.newcomer, nil
}

func TestAHostIsAdded(t *testing.T) {
	t.Parallel()
	waiting := &fleet.Newcomer{Host: fleet.Host{Name: "web9", Attr: "nixosConfigurations.web9"}, Expires: noon.Add(time.Minute)}
	for name, tt := range map[string]struct {
		role   string // admin where it is empty
		change func(*world, url.Values)
		code   int
		asked  string
		says   []string
	}{
		"as it is usual": {code: http.StatusCreated, asked: "alice enrols web9 nixosConfigurations.web9 [canary web] fleet aurora/nixcfg again=false",
			says: []string{secretToken, "nixfleet.nixosModules.agent", "/var/lib/nixfleet-token", `data-live="/events/enroll/web9"`, "Waiting for web9…"}},
		"with everything given": {change: func(_ *world, v url.Values) {
			v.Set("platform", "home")
			v.Set("attr", "homeConfigurations.alice@laptop")
			v.Set("mode", "manual")
		}, code: http.StatusCreated, asked: "alice enrols web9 homeConfigurations.alice@laptop [canary web] manual aurora/nixcfg again=false",
			says: []string{"nixfleet.homeModules.agent", "config.home.homeDirectory"}},
		"a Mac": {change: func(_ *world, v url.Values) { v.Set("platform", "darwin") }, code: http.StatusCreated,
			asked: "alice enrols web9 darwinConfigurations.web9 [canary web] fleet aurora/nixcfg again=false", says: []string{"nixfleet.darwinModules.agent", "/etc/nixfleet-token"}},
		"a name that is none": {change: func(_ *world, v url.Values) { v.Set("name", "Web 9<b>") }, code: http.StatusUnprocessableEntity,
			says: []string{`id="name-fault"`, `aria-describedby="name-fault"`, `value="Web 9&lt;b&gt;"`, `value="canary, web"`}},
		"a name that is taken": {change: func(w *world, _ url.Values) { w.enrolErr = ErrTaken }, code: http.StatusConflict,
			asked: "alice enrols web9 nixosConfigurations.web9 [canary web] fleet aurora/nixcfg again=false",
			says:  []string{"enrolled already", "nixfleet hosts enroll web9 --again", `name="again" value="yes"`}},
		"a machine that was set up anew": {change: func(_ *world, v url.Values) { v.Set("again", "yes") }, code: http.StatusCreated,
			asked: "alice enrols web9 nixosConfigurations.web9 [canary web] fleet aurora/nixcfg again=true", says: []string{secretToken}},
		"one that is waited for": {change: func(w *world, _ url.Values) { w.newcomer = waiting }, code: http.StatusUnprocessableEntity,
			says: []string{"waits for its machine", `name="another" value="yes"`, `href="/enroll/web9"`}},
		"another token for it": {change: func(w *world, v url.Values) { w.newcomer = waiting; v.Set("another", "yes") }, code: http.StatusCreated,
			asked: "alice enrols web9 nixosConfigurations.web9 [canary web] fleet aurora/nixcfg again=false", says: []string{secretToken}},
		"one whose token is over": {change: func(w *world, _ url.Values) { n := *waiting; n.Expires = noon; w.newcomer = &n }, code: http.StatusCreated,
			asked: "alice enrols web9 nixosConfigurations.web9 [canary web] fleet aurora/nixcfg again=false", says: []string{secretToken}},
		"for a repository that is not watched": {change: func(w *world, _ url.Values) { w.enrolErr = Refused("no such repository") }, code: http.StatusConflict,
			asked: "alice enrols web9 nixosConfigurations.web9 [canary web] fleet aurora/nixcfg again=false", says: []string{"No such repository", `id="repo-fault"`}},
		"without a database": {change: func(w *world, _ url.Values) { w.enrolErr = errors.New("password=hunter2") }, code: http.StatusServiceUnavailable,
			asked: "alice enrols web9 nixosConfigurations.web9 [canary web] fleet aurora/nixcfg again=false", says: []string{"could not be added"}},
		"by an operator":               {role: "op", code: http.StatusForbidden, says: []string{"admin role"}},
		"by a viewer":                  {role: "view", code: http.StatusForbidden, says: []string{"admin role"}},
		"from a page of another build": {change: func(_ *world, v url.Values) { v.Set("build", "old") }, code: http.StatusConflict, says: []string{"was updated"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(story(t, "idle").Overview)
			d := newDashboard(t, w, Config{})
			form := url.Values{"build": {d.build}, "platform": {"nixos"}, "name": {" web9 "}, "attr": {""}, "repo": {"aurora/nixcfg"}, "tags": {"canary, web"}, "mode": {"fleet"}}
			if tt.change != nil {
				tt.change(w, form)
			}
			if tt.role == "" {
				tt.role = "admin"
			}
			rec := do(d, request(http.MethodPost, "/enroll", tt.role, form))
			body := rec.Body.String()
			if rec.Code != tt.code || strings.Contains(body, "hunter2") || strings.Contains(body, "9<b>") {
				t.Errorf("it answers %d, want %d: %s", rec.Code, tt.code, body)
			}
			for _, words := range tt.says {
				if !strings.Contains(body, words) {
					t.Errorf("it does not say %q: %s", words, mainOf(body))
				}
			}
			if got := strings.Join(w.asks, ", "); got != tt.asked {
				t.Errorf("asked for %q, want %q", got, tt.asked)
			}
		})
	}
}

// The token is in the answer to the post, and nowhere else.
func TestATokenIsShownOnceAndNowhereElse(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	w := newWorld(story(t, "idle").Overview)
	d := newDashboard(t, w, Config{})
	d.cfg.Log = zerolog.New(&log)
	form := url.Values{"build": {d.build}, "platform": {"nixos"}, "name": {"web9"}, "repo": {"aurora/nixcfg"}}
	answer := do(d, request(http.MethodPost, "/enroll", "admin", form))
	if n := strings.Count(answer.Body.String(), secretToken); n != 3 || answer.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("the answer holds the token %d times, kept by %q", n, answer.Header().Get("Cache-Control"))
	}
	_, region, _ := strings.Cut(answer.Body.String(), `id="newcomer"`)
	b, err := d.look(t.Context(), d.newcomerTopic("web9"))
	if err != nil || strings.Contains(region, secretToken) || strings.Contains(b.html("newcomer"), secretToken) {
		t.Errorf("the live region holds the token: %v", err)
	}
	for _, path := range []string{"/enroll/web9", "/enroll", "/", "/activity"} {
		if rec := do(d, request(http.MethodGet, path, "admin", nil)); rec.Code != http.StatusOK || strings.Contains(rec.Body.String(), secretToken) {
			t.Errorf("%s answers %d, with the token: %v", path, rec.Code, strings.Contains(rec.Body.String(), secretToken))
		}
	}
	if again := do(d, request(http.MethodPost, "/enroll", "admin", form)); strings.Contains(again.Body.String(), secretToken) {
		t.Error("the same post makes another token, and the first is void")
	}
	if strings.Contains(log.String(), secretToken) {
		t.Error("the log holds the token")
	}
	if rec := do(d, request(http.MethodGet, "/enroll/other", "admin", nil)); rec.Code != http.StatusNotFound {
		t.Errorf("an unknown host answers %d", rec.Code)
	}
}

func TestTicketLooksAsItDid(t *testing.T) {
	t.Parallel()
	d := newDashboard(t, newWorld(story(t, "idle").Overview), Config{PublicURL: "https://fleet.example.com"})
	form := url.Values{"build": {d.build}, "platform": {"nixos"}, "name": {"web9"}, "repo": {"aurora/nixcfg"}, "tags": {"web"}}
	rec := do(d, request(http.MethodPost, "/enroll", "admin", form))
	body := rec.Body.String()
	if rec.Code != http.StatusCreated {
		t.Fatalf("it answers %d: %s", rec.Code, body)
	}
	golden(t, filepath.Join("testdata", "golden", "enroll-ticket.html"), strings.ReplaceAll(lines(mainOf(body)), d.build, "BUILD"))
}

// What people are told to paste is Nix, of options and modules that there are.
func TestTheSnippetIsOfOurModules(t *testing.T) {
	t.Parallel()
	read := func(path ...string) string {
		text, err := os.ReadFile(filepath.Join(append([]string{".."}, path...)...))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	flake, options := read("flake.nix"), read("nix", "modules", "agent-options.nix")
	for platform, module := range moduleOf {
		r := recipe{Platform: platform, Server: `https://x/"${builtins.abort "no"}\`, Name: "web9", Token: "it's"}
		kind, _, _ := strings.Cut(module, ".")
		if !regexp.MustCompile(kind + `(\.agent| = \{[^}]*\bagent) =`).MatchString(strings.ReplaceAll(flake, "{ inherit self; }", "")) {
			t.Errorf("the flake has no %s", module)
		}
		for _, m := range regexp.MustCompile(`(?m)^    ([A-Za-z]+) = `).FindAllStringSubmatch(r.Module(), -1) {
			if !strings.Contains(options, "  "+m[1]+" = lib.mk") {
				t.Errorf("the module has no option %s", m[1])
			}
		}
		nix, err := exec.LookPath("nix-instantiate")
		if err != nil {
			continue
		}
		for what, text := range map[string]string{"module": "nixfleet: [\n" + r.Module() + "]", "input": "{\n" + r.Input() + "}"} {
			cmd := exec.Command(nix, "--store", "dummy://", "--parse", "-")
			cmd.Stdin = strings.NewReader(text)
			if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "builtins.abort \"no\"") {
				t.Errorf("the %s for %s is no Nix: %s\n%s", what, platform, out, text)
			}
		}
		for _, command := range []string{r.Place(), r.Enroll()} {
			cmd := exec.Command("sh", "-nc", command)
			if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(command, `'it'\''s'`) {
				t.Errorf("%s: %v %s", command, err, out)
			}
		}
	}
}

func TestOnlyAnAddressWithoutTLSIsWarnedOf(t *testing.T) {
	t.Parallel()
	for server, want := range map[string]bool{
		"https://fleet.example.com": false, "http://fleet.example.com": true, "http://10.0.0.5:8080": true, "http://127.0.0.1:8080": false, "http://localhost": false, "http://[::1]:80": false,
	} {
		if got := (recipe{Server: server}).Insecure(); got != want {
			t.Errorf("%s: %v", server, got)
		}
	}
}
