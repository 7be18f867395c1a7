package agent

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nixfleet/nixfleet/agentbus"
)

const (
	repoTokenPath = "/api/v1/agent/repo-token"

	// tokenLeft is how much life a token must have left to begin a fetch with it.
	tokenLeft = 5 * time.Minute
)

// repoTokens gets tokens from the server for a host that can't fetch by itself, and
// keeps the last one in memory, nowhere else.
type repoTokens struct {
	ask func(context.Context) (agentbus.RepoToken, error)
	now func() time.Time

	mu   sync.Mutex
	last agentbus.RepoToken
}

// get is a token for the repository at url.
func (r *repoTokens) get(ctx context.Context, url string) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last.Repo != url || time.UnixMilli(r.last.Expires).Sub(r.now()) < tokenLeft {
		got, err := r.ask(ctx)
		if err != nil {
			return "", err
		}
		r.last = got
	}
	if r.last.Repo != url {
		return "", fmt.Errorf("the server's token is for another repository, %s", r.last.Repo)
	}
	return r.last.Token, nil
}

// forget drops a token that was refused.
func (r *repoTokens) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = agentbus.RepoToken{}
}

// needsToken reports whether a fetch of url failed since the host may not read it,
// and a token might help. GitHub calls what one may not see "not found".
func needsToken(url string, err error) bool {
	var failed *exitError
	if !strings.HasPrefix(url, "https://") && !strings.HasPrefix(url, "http://") || !errors.As(err, &failed) {
		return false
	}
	text := string(failed.tail)
	for _, sign := range []string{
		"could not read Username", "could not read Password", "Authentication failed", "Repository not found",
		"requested URL returned error: 401", "requested URL returned error: 403", "requested URL returned error: 404",
	} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return strings.Contains(text, "repository '") && strings.Contains(text, "not found")
}

// withToken is the environment in which git shows the token to url and to nothing
// else: not in its arguments, which others can see, and in no file.
func withToken(url, token string) []string {
	n, _ := strconv.Atoi(os.Getenv("GIT_CONFIG_COUNT"))
	login := base64.StdEncoding.EncodeToString([]byte("x-access-token:" + token))
	at, next := strconv.Itoa(n), strconv.Itoa(n+1)
	return []string{
		"GIT_CONFIG_COUNT=" + strconv.Itoa(n+2),
		"GIT_CONFIG_KEY_" + at + "=http." + url + ".extraHeader", "GIT_CONFIG_VALUE_" + at + "=Authorization: Basic " + login,
		"GIT_CONFIG_KEY_" + next + "=http." + url + ".followRedirects", "GIT_CONFIG_VALUE_" + next + "=false",
	}
}

// askRepoToken asks the server as id.
func askRepoToken(ctx context.Context, id Identity, now time.Time) (agentbus.RepoToken, error) {
	var token agentbus.RepoToken
	endpoint, err := Enrolment{Server: id.Server, Insecure: id.Insecure}.endpoint(repoTokenPath)
	if err != nil {
		return token, err
	}
	req, err := agentbus.SignRepoToken(id.Seed, agentbus.RepoTokenRequest{Host: id.Host, At: now.UnixMilli()})
	if err != nil {
		return token, err
	}
	var sealed agentbus.Sealed
	if err := post(ctx, endpoint, req, &sealed); err != nil {
		return token, err
	}
	return token, sealed.Open(id.Curve, &token)
}
