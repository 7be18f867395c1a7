package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

// summonEvery is the least pause between two summonses to one host: it may not be
// able to follow the first.
const summonEvery = 5 * time.Minute

// OrderKeys lists the keys that sign orders and says which hosts know each.
func (s service) OrderKeys(ctx context.Context) ([]api.OrderKey, error) {
	hosts, err := s.a.db.Hosts(ctx)
	if err != nil {
		return nil, err
	}
	public := s.a.keys.OrderKeys()
	list := make([]api.OrderKey, 0, len(public))
	for i, key := range public {
		k := api.OrderKey{ID: agentbus.KeyIDs([]string{key})[0], Current: i == 0, Missing: []string{}}
		for _, h := range hosts {
			switch {
			case h.EnrolledAt.IsZero() || !h.RevokedAt.IsZero():
			case slices.Contains(h.Facts.OrderKeys, k.ID):
				k.Known++
			default:
				k.Missing = append(k.Missing, h.Name)
			}
		}
		list = append(list, k)
	}
	return list, nil
}

// AddOrderKey makes a key. Hosts learn of it as they report: see summon.
func (s service) AddOrderKey(ctx context.Context, by fleet.Actor) (api.OrderKey, error) {
	id, err := s.a.keys.AddOrderKey()
	if errors.Is(err, agentbus.ErrManyKeys) {
		return api.OrderKey{}, fmt.Errorf("%w: %w", api.ErrInvalid, err)
	}
	if err != nil {
		return api.OrderKey{}, err
	}
	return s.noted(ctx, by, "added", id)
}

// UseOrderKey has a key sign, once all hosts know it.
func (s service) UseOrderKey(ctx context.Context, by fleet.Actor, id string, force bool) error {
	key, err := s.key(ctx, func(k api.OrderKey) bool { return k.ID == id })
	if err != nil {
		return err
	}
	if len(key.Missing) > 0 && !force {
		return fmt.Errorf("%w: %s would refuse its orders, since they do not know the key yet. They learn of it within minutes of being online; wait, or force it and enrol them again", api.ErrInvalid, named(key.Missing))
	}
	if err := s.a.keys.UseOrderKey(id); err != nil {
		return keyRefused(err)
	}
	_, err = s.noted(ctx, by, "used", id)
	return err
}

// RetireOrderKey forgets a key. A host that knows no other could never learn of one.
func (s service) RetireOrderKey(ctx context.Context, by fleet.Actor, id string, force bool) error {
	current, err := s.key(ctx, func(k api.OrderKey) bool { return k.Current })
	if err != nil {
		return err
	}
	if len(current.Missing) > 0 && !force {
		return fmt.Errorf("%w: %s may know no other key than this one, and could then never learn of another. Wait until they were online, or force it and enrol them again", api.ErrInvalid, named(current.Missing))
	}
	if err := s.a.keys.RetireOrderKey(id); err != nil {
		return keyRefused(err)
	}
	s.a.log.Info().Ctx(ctx).Str("key", id).Str("by", by.Login).Msg("order key retired")
	return s.a.db.Remember(ctx, keyEvent(s.a.cfg.Now(), by, "retired", id))
}

func (s service) key(ctx context.Context, is func(api.OrderKey) bool) (api.OrderKey, error) {
	list, err := s.OrderKeys(ctx)
	if err != nil {
		return api.OrderKey{}, err
	}
	i := slices.IndexFunc(list, is)
	if i < 0 {
		return api.OrderKey{}, api.ErrUnknown
	}
	return list[i], nil
}

func (s service) noted(ctx context.Context, by fleet.Actor, what, id string) (api.OrderKey, error) {
	s.a.log.Info().Ctx(ctx).Str("key", id).Str("by", by.Login).Msg("order key " + what)
	if err := s.a.db.Remember(ctx, keyEvent(s.a.cfg.Now(), by, what, id)); err != nil {
		return api.OrderKey{}, err
	}
	return s.key(ctx, func(k api.OrderKey) bool { return k.ID == id })
}

func keyEvent(now time.Time, by fleet.Actor, what, id string) db.Event {
	return db.Event{At: now, Actor: by.Login, Kind: "key." + what, Subject: "key/" + id}
}

func keyRefused(err error) error {
	switch {
	case errors.Is(err, agentbus.ErrUnknownKey):
		return api.ErrUnknown
	case errors.Is(err, agentbus.ErrCurrentKey):
		return fmt.Errorf("%w: %w", api.ErrInvalid, err)
	}
	return err
}

// named lists hosts for a sentence, the first few by name.
func named(hosts []string) string {
	const most = 10
	if len(hosts) <= most {
		return strings.Join(hosts, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(hosts[:most], ", "), len(hosts)-most)
}

// summons remembers when a host was last asked to renew its certificate.
type summons struct {
	mu   sync.Mutex
	last map[string]time.Time
}

// summon asks hosts whose heartbeat shows that they don't know all order keys to
// renew their certificates, with which they learn of them. An agent that doesn't
// say what it knows is too old to be taught.
func (a *App) summon(beats []agentbus.HostBeat, now time.Time) {
	want := agentbus.KeyIDs(a.keys.OrderKeys())
	var hosts []string
	a.summons.mu.Lock()
	for _, b := range beats {
		known := b.Heartbeat.Observed.OrderKeys
		if len(known) == 0 || slices.Equal(known, want) || now.Sub(a.summons.last[b.Host]) < summonEvery {
			continue
		}
		if a.summons.last == nil {
			a.summons.last = map[string]time.Time{}
		}
		a.summons.last[b.Host] = now
		hosts = append(hosts, b.Host)
	}
	a.summons.mu.Unlock()
	if len(hosts) == 0 {
		return
	}
	if err := a.bus.Summon(hosts...); err != nil {
		a.log.Warn().Err(err).Msg("hosts not asked to renew")
	}
}
