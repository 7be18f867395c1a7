package dashboard

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// The page's policy must let a browser post to GitHub, which sends it elsewhere on
// GitHub first (to sign in, say), and at last back to us.
func TestBrowserGoesToGitHubAndComesBack(t *testing.T) {
	b := browse(t, fleet.Overview{})
	posted := make(chan string, 1)
	hub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/settings/apps/new":
			posted <- r.Header.Get("Origin") + " " + r.PostFormValue("manifest") + " " + r.URL.Query().Get("state")
			http.Redirect(w, r, "/somewhere/else", http.StatusFound)
		case "/somewhere/else":
			http.Redirect(w, r, b.server.URL+"/setup/callback?code=c&state=s", http.StatusFound)
		}
	}))
	t.Cleanup(hub.Close)
	sw := &setupWorld{state: setups()["new"]}
	b.change(func() { b.sessions["op"] = RoleAdmin })
	b.run(Config{PublicURL: b.server.URL, WebURL: hub.URL, Now: time.Now, Setup: sw})
	b.Go(b.server.URL + "/setup")
	b.Click("button.primary")
	b.Until(`!!document.querySelector("#toast")?.innerText.includes("The GitHub App exists")`)
	if got, want := <-posted, b.server.URL+` {"name":"NixFleet <fleet>"} state of alice`; got != want {
		t.Errorf("GitHub got %q, want %q", got, want)
	}
	sw.mu.Lock()
	defer sw.mu.Unlock()
	if len(sw.returned) != 1 || sw.returned[0] != "c s" {
		t.Errorf("came back with %q", sw.returned)
	}
	b.Blameless()
}
