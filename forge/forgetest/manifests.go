package forgetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"time"
)

// manifestCodeLife is how long GitHub's codes are good for. They are good once.
const manifestCodeLife = time.Hour

// manifest is a GitHub App that someone is about to create.
type manifest struct {
	URL       string   `json:"url"`
	Name      string   `json:"name"`
	Redirect  string   `json:"redirect_url"`
	Callbacks []string `json:"callback_urls"`
	Hook      struct {
		URL string `json:"url"`
	} `json:"hook_attributes"`
	Permissions map[string]string `json:"default_permissions"`
	Events      []string          `json:"default_events"`
	made        time.Time
}

// eventNeeds is the permission, at least to read, that GitHub wants for an event.
var eventNeeds = map[string]string{
	"check_run": "checks", "check_suite": "checks", "issue_comment": "issues", "pull_request": "pull_requests",
	"pull_request_review": "pull_requests", "push": "contents", "repository": "metadata", "status": "statuses",
	"workflow_run": "actions", "deployment_status": "deployments", "merge_group": "merge_queues",
}

// readManifest refuses what GitHub's page refuses.
func readManifest(raw string) (manifest, error) {
	var m manifest
	if err := json.Unmarshal([]byte(raw), &m); err != nil {
		return m, fmt.Errorf("the manifest is not JSON: %w", err)
	}
	if u, err := url.Parse(m.Redirect); err != nil || u.Host == "" {
		return m, errors.New("the manifest has no redirect_url")
	}
	switch {
	case m.URL == "":
		return m, errors.New("the manifest has no url")
	case len(m.Callbacks) > 10:
		return m, errors.New("more than ten callback URLs")
	case len([]rune(m.Name)) > 34:
		return m, errors.New("the name is too long (maximum is 34 characters)")
	case m.Hook.URL == "" && len(m.Events) > 0:
		return m, errors.New("the manifest has events but no hook_attributes.url")
	}
	for _, event := range m.Events {
		if p, known := eventNeeds[event]; !known || m.Permissions[p] == "" {
			return m, fmt.Errorf("default events are not supported by permissions: %s", event)
		}
	}
	return m, nil
}

// newApp takes a manifest and goes on at once, as if the person had pressed
// the button.
func (s *Server) newApp(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
	m, err := readManifest(r.FormValue("manifest"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	code := s.offer(m)
	to, _ := url.Parse(m.Redirect) // readManifest did
	q := to.Query()
	q.Set("code", code)
	q.Set("state", r.FormValue("state"))
	to.RawQuery = q.Encode()
	http.Redirect(w, r, to.String(), http.StatusFound)
}

// offer keeps a manifest until its code is redeemed.
func (s *Server) offer(m manifest) (code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	code, m.made = randomHex(20), s.opts.AuthNow()
	s.manifests[code] = m
	return code
}

// convertManifest makes the App: with the manifest's webhook, permissions and
// events, a new webhook secret, and a name of its own.
func (s *Server) convertManifest(c *call) reply {
	m, known := s.manifests[c.params["code"]]
	delete(s.manifests, c.params["code"])
	if !known || s.opts.AuthNow().Sub(m.made) > manifestCodeLife {
		return notFound()
	}
	s.hookURL, s.hookSecret = m.Hook.URL, randomHex(20)
	s.opts.Permissions, s.events = map[string]string{"metadata": "read"}, nonNil(m.Events)
	maps.Copy(s.opts.Permissions, m.Permissions)
	if m.Name != "" {
		s.self.name = m.Name
	}
	body := s.appJSON(s.self)
	s.signIns.callbacks = m.Callbacks
	body["client_id"], body["client_secret"] = s.ClientID, s.ClientSecret
	body["webhook_secret"], body["pem"] = s.hookSecret, string(s.PrivateKeyPEM)
	return created(body)
}

// Subscribe changes which events the App is sent, as its settings page does.
func (s *Server) Subscribe(events ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = events
}
