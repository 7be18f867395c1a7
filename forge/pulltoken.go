package forge

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// pullLeft is how much life a token that is handed out has at least: a first fetch
// of a large repository takes a while.
const pullLeft = 20 * time.Minute

// pull is a token that hosts fetch with.
type pull struct {
	token   string
	expires time.Time
}

// pulls are the tokens that hosts fetch with. Of many hosts that ask at once, one has
// the token made and the others wait for it.
type pulls struct {
	mu sync.Mutex
	of map[door]pull
}

// PullToken is a token with which one repository can be fetched, and nothing else be
// done, and when it ends. All hosts of a repository share it: a thousand of them
// cost GitHub one call.
func (f *Forge) PullToken(ctx context.Context, repo fleet.Repo) (string, time.Time, error) {
	d := door{repo.Installation, repo.ID, puller}
	f.pulls.mu.Lock()
	defer f.pulls.mu.Unlock()
	if p := f.pulls.of[d]; p.expires.Sub(f.config.Now()) > pullLeft {
		return p.token, p.expires, nil
	}
	auth, err := f.appAuth()
	if err != nil {
		return "", time.Time{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	tokens := tokensFor(auth, d, permissions[puller])
	p := pull{}
	if p.token, err = tokens.Token(ctx); err != nil {
		return "", time.Time{}, fmt.Errorf("make a token to fetch %s with: %w", repo.FullName(), err)
	}
	if p.expires, _, err = tokens.Expiry(); err != nil {
		return "", time.Time{}, fmt.Errorf("make a token to fetch %s with: %w", repo.FullName(), err)
	}
	if f.pulls.of == nil {
		f.pulls.of = map[door]pull{}
	}
	f.pulls.of[d] = p
	return p.token, p.expires, nil
}
