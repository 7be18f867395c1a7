package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/forge/forgetest"
)

// A host without access of its own fetches a private repository with a token of the
// server's, which is found nowhere afterwards.
func TestAPrivateRepositoryIsFetchedWithAToken(t *testing.T) {
	t.Parallel()
	if missing("git") {
		t.Skip("git is not installed")
	}
	hub := forgetest.NewForTest(t, forgetest.Options{})
	if _, err := hub.AddRepo(forgetest.Repo{Name: "o/secret", Private: true}); err != nil {
		t.Fatal(err)
	}
	sha, err := hub.CommitFiles("o/secret", forgetest.Commit{Files: map[string]string{"flake.nix": "{}\n"}, Message: "First"})
	if err != nil {
		t.Fatal(err)
	}
	url := hub.URL() + "/o/secret.git"
	var asked int
	var given []string
	var output strings.Builder
	gives := agentbus.RepoToken{Repo: url}
	c := checkout{
		dir: filepath.Join(t.TempDir(), "checkout"), git: Git{Program: "git", Protocols: []string{"http"}},
		stream: func(b []byte) { output.Write(b) },
		tokens: &repoTokens{now: time.Now, ask: func(context.Context) (agentbus.RepoToken, error) {
			asked++
			var err error
			if gives.Token, err = hub.Token("o/secret"); err != nil {
				return gives, err
			}
			gives.Expires = time.Now().Add(time.Hour).UnixMilli()
			given = append(given, gives.Token)
			return gives, nil
		}},
	}
	order := agentbus.Order{Repo: url, Branch: "main", Commit: sha}
	for range 2 {
		if err := c.fetch(t.Context(), order); err != nil {
			t.Fatal(err)
		}
	}
	if !c.has(t.Context(), sha) || asked != 1 {
		t.Errorf("asked %d times, want once for both fetches", asked)
	}

	hub.ExpireTokens() // before their time
	if err := c.fetch(t.Context(), order); err == nil {
		t.Error("a token that ended was accepted")
	}
	if err := c.fetch(t.Context(), order); err != nil || asked != 2 {
		t.Errorf("after one was refused: %v, asked %d times", err, asked)
	}
	err = filepath.WalkDir(c.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		for _, token := range given {
			if strings.Contains(string(text), token) {
				t.Errorf("%s holds the token", path)
			}
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	for _, token := range given {
		if strings.Contains(output.String(), token) {
			t.Error("the log holds the token")
		}
	}

	gives.Repo = "https://github.com/o/other.git"
	c.tokens.forget()
	if err := c.fetch(t.Context(), order); err == nil || !strings.Contains(err.Error(), "another repository") {
		t.Errorf("with a token for another repository: %v", err)
	}
	c.tokens.ask = func(context.Context) (agentbus.RepoToken, error) {
		return agentbus.RepoToken{}, errors.New("the server is away")
	}
	if err := c.fetch(t.Context(), order); err == nil || !strings.Contains(err.Error(), "the server is away") || !strings.Contains(err.Error(), "git fetch") {
		t.Errorf("without one: %v", err)
	}
}

func TestWhenATokenMightHelp(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"fatal: could not read Username for 'https://github.com': terminal prompts disabled":           true,
		"fatal: Authentication failed for 'https://github.com/o/r.git/'":                               true,
		"remote: Repository not found.\nfatal: repository 'https://github.com/o/r.git/' not found":     true,
		"fatal: unable to access 'https://github.com/o/r.git/': The requested URL returned error: 403": true,
		"fatal: unable to access 'https://github.com/o/r.git/': The requested URL returned error: 500": false,
		"fatal: unable to access 'https://github.com/o/r.git/': Could not resolve host: github.com":    false,
		"fatal: couldn't find remote ref refs/heads/main":                                              false,
	} {
		err := &exitError{program: "git fetch", code: 128, tail: []byte(text)}
		if got := needsToken("https://github.com/o/r.git", err); got != want {
			t.Errorf("%q: %v", text, got)
		}
		if needsToken("git@github.com:o/r.git", err) {
			t.Errorf("%q: a token is no help to ssh", text)
		}
	}
}
