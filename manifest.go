// Package nixfleet holds what lies at the root of the source tree: the manifest of
// the GitHub App (app.yml), which the set-up offers to GitHub and the doctor
// compares with what GitHub has.
//
// In comes the file, at build time; out goes a [Manifest]. What may go wrong is a
// mistake in the file, which its test finds.
package nixfleet

import (
	"bytes"
	_ "embed" // app.yml
	"fmt"
	"net/url"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"
)

// Addresses below the server's public one that GitHub is told of.
const (
	HookPath     = "/api/github/hook" // webhooks
	SetupPath    = "/setup"           // where people come after installing the App
	CallbackPath = "/setup/callback"  // where GitHub brings the code of a new App

	SignInPath = "/login/github/callback" // where GitHub brings people back who sign in
)

// maxName is the longest name that GitHub allows for an App, in characters.
const maxName = 34

// Manifest is the GitHub App as GitHub's page for new Apps takes it, in JSON.
// https://docs.github.com/en/apps/sharing-github-apps/registering-a-github-app-from-a-manifest
type Manifest struct {
	Name          string            `json:"name,omitempty" yaml:"-"`
	URL           string            `json:"url" yaml:"-"`
	Hook          *Hook             `json:"hook_attributes,omitempty" yaml:"-"`
	RedirectURL   string            `json:"redirect_url,omitempty" yaml:"-"`
	CallbackURLs  []string          `json:"callback_urls,omitempty" yaml:"-"`
	SetupURL      string            `json:"setup_url,omitempty" yaml:"-"`
	SetupOnUpdate bool              `json:"setup_on_update" yaml:"-"`
	AskOnInstall  bool              `json:"request_oauth_on_install" yaml:"-"` // never: people sign in when they want to
	Description   string            `json:"description" yaml:"description"`
	Public        bool              `json:"public" yaml:"public"`
	Permissions   map[string]string `json:"default_permissions" yaml:"default_permissions"` // name to read or write
	Events        []string          `json:"default_events" yaml:"default_events"`

	// Optional are the permissions that may be taken away, with what is missed then.
	Optional map[string]string `json:"-" yaml:"optional"`
}

// Hook is where GitHub sends webhooks.
type Hook struct {
	URL    string `json:"url"`
	Active bool   `json:"active"`
}

//go:embed app.yml
var file []byte

var load = sync.OnceValues(func() (Manifest, error) {
	var m Manifest
	if err := yaml.NewDecoder(bytes.NewReader(file), yaml.Strict()).Decode(&m); err != nil {
		return m, fmt.Errorf("app.yml: %w", err)
	}
	return m, nil
})

// AppManifest is app.yml, without the addresses that only a running server knows.
// The caller must not change its maps and lists.
func AppManifest() (Manifest, error) { return load() }

// At completes the manifest for the server at a public address, e.g.
// https://fleet.example.org. The name is a suggestion: names of Apps are unique on
// GitHub, and its page lets people choose another.
func (m Manifest) At(public string) Manifest {
	public = strings.TrimSuffix(public, "/")
	m.Name = "NixFleet"
	if u, err := url.Parse(public); err == nil && u.Hostname() != "" {
		m.Name = strings.TrimRight(fmt.Sprintf("%.*s", maxName, "NixFleet "+u.Hostname()), " .-")
	}
	m.URL = public
	m.Hook = &Hook{URL: public + HookPath, Active: true}
	m.RedirectURL, m.SetupURL = public+CallbackPath, public+SetupPath
	m.CallbackURLs = []string{public + SignInPath}
	return m
}
