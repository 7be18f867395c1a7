package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/nats-io/nkeys"

	"github.com/nixfleet/nixfleet/agentbus"
)

// ChangeKey gives the host of stateDir a new key. The server takes it from who
// proves to have both, and forgets the old one when the new one is used for the
// first time; until then either is the host's. Whatever ends it early, the next
// call, or the running agent, brings it to its end. A running agent takes the new
// key up by itself.
func ChangeKey(ctx context.Context, e Enrolment) (Identity, error) {
	e.Now = orClock(e.Now)
	lock, err := lockSoon(ctx, statePath(e.StateDir, identityLock))
	if err != nil {
		return Identity{}, fmt.Errorf("change key: another process renews or changes this host's key right now: %w", err)
	}
	defer lock.Close()
	return e.changeKey(ctx)
}

func (e Enrolment) changeKey(ctx context.Context) (id Identity, err error) {
	now, err := LoadIdentity(e.StateDir)
	if err != nil {
		return id, fmt.Errorf("change key: has this host joined a fleet? %w", err)
	}
	e.Server, e.Host, e.Insecure, e.Token = now.Server, now.Host, now.Insecure, ""
	next, err := loadOrCreateSeed(e.StateDir, nextSeedFile, nkeys.CreateUser)
	if err != nil {
		return id, fmt.Errorf("change key: %w", err)
	}
	_, err = e.certify(ctx, next, func(next []byte, r agentbus.EnrollRequest) (agentbus.EnrollRequest, error) {
		return agentbus.SignChange(now.Seed, next, r)
	})
	if err != nil {
		return id, fmt.Errorf("change key: offer the new one: %w", err)
	}
	if id, err = e.certify(ctx, next, agentbus.SignEnroll); err != nil {
		return id, fmt.Errorf("change key: use the new one: %w", err)
	}
	if err := os.Rename(statePath(e.StateDir, nextSeedFile), statePath(e.StateDir, seedFile)); err != nil {
		return id, fmt.Errorf("change key: %w", err)
	}
	if err := syncDir(filepath.Clean(e.StateDir)); err != nil {
		return id, fmt.Errorf("change key: %w", err)
	}
	return id, e.keep(id)
}

// renewal renews the certificate of id, and first ends a change of key that was
// interrupted. Where that fails, the key that there is still wants its certificate.
func (e Enrolment) renewal(ctx context.Context, id Identity) (Identity, error) {
	if !id.changing {
		return Enroll(ctx, e)
	}
	changed, err := ChangeKey(ctx, e)
	if err == nil {
		return changed, nil
	}
	renewed, other := Enroll(ctx, e)
	if other != nil {
		return renewed, errors.Join(err, other)
	}
	renewed.doubt = err
	return renewed, nil
}
