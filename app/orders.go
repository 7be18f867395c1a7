package app

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

// keepOrderKeys is how long the same key means the same request.
const keepOrderKeys = 24 * time.Hour

// Placed is what came of a request for one host.
type Placed struct {
	Host  fleet.Host
	Order fleet.Order // zero where there was nothing to order
	Found string      // in words, what happens now
}

// Order gives hosts the order that a person asked for. What can't be right is a
// *fleet.FieldError; a reboot that was not confirmed is a *fleet.UnconfirmedError; an
// order to cancel that is not known is [db.ErrNotFound].
func (a *App) Order(ctx context.Context, by fleet.Actor, r fleet.OrderRequest) ([]Placed, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	hosts, err := a.db.Hosts(ctx)
	if err != nil {
		return nil, err
	}
	key, err := orderKey(r)
	if err != nil {
		return nil, err
	}
	if key.Key != "" {
		issued, err := a.db.OrdersOfKey(ctx, by.Login, key)
		if !errors.Is(err, db.ErrNotFound) {
			return a.placed(hosts, issued), asField(err)
		}
	}
	var orders []fleet.Order
	var nothing []Placed
	if r.Kind == fleet.OrderCancel {
		orders, nothing, err = a.cancelOrders(ctx, r, hosts)
	} else {
		orders, err = a.ordersFor(ctx, r, hosts)
	}
	if err != nil {
		return nil, err
	}
	for i := range orders {
		orders[i].Actor, orders[i].Reason = by.Login, r.Reason
	}
	issued, err := a.db.IssueOrdersOnce(ctx, by.Login, key, orders, a.cfg.Now())
	if errors.Is(err, db.ErrConflict) {
		return nil, &fleet.FieldError{Field: "hosts", Text: "a host was revoked meanwhile; nothing was ordered"}
	}
	if err != nil {
		return nil, asField(err)
	}
	a.log.Info().Ctx(ctx).Str("kind", r.Kind).Str("hosts", fmt.Sprintf("%.200s", cmp.Or(r.Hosts, r.Order, strings.Join(r.Names, " ")))).Int("orders", len(issued)).Str("by", by.Login).Msg("ordered")
	list := append(a.placed(hosts, issued), nothing...)
	slices.SortStableFunc(list, func(x, y Placed) int { return cmp.Compare(x.Host.Name, y.Host.Name) })
	return list, nil
}

// orderKey is what makes the request recognisable when it comes again.
func orderKey(r fleet.OrderRequest) (db.OrderKey, error) {
	k := db.OrderKey{Key: r.Key}
	r.Key = ""
	b, err := json.Marshal(r)
	if err != nil {
		return k, err
	}
	sum := sha256.Sum256(b)
	k.Sum = hex.EncodeToString(sum[:])
	return k, nil
}

// keyField is the header that names a request.
const keyField = "Idempotency-Key"

func asField(err error) error {
	if errors.Is(err, db.ErrOtherRequest) {
		return &fleet.FieldError{Field: keyField, Text: "it was used for another request within the last day; use a new one"}
	}
	return err
}

// ordersFor are the orders of a request, one for each host that it picks.
func (a *App) ordersFor(ctx context.Context, r fleet.OrderRequest, hosts []fleet.Host) ([]fleet.Order, error) {
	picked, err := r.Pick(hosts)
	if err != nil {
		return nil, err
	}
	if err := r.Confirmed(picked); err != nil {
		return nil, err
	}
	var generations []fleet.Generation
	if len(picked) == 1 && r.Kind == fleet.OrderRollback {
		if generations, err = a.db.HostGenerations(ctx, picked[0].Name); err != nil {
			return nil, err
		}
	}
	aim, err := r.Aim(picked, generations)
	if err != nil {
		return nil, err
	}
	repos, err := a.repoStates(ctx)
	if err != nil {
		return nil, err
	}
	orders := make([]fleet.Order, 0, len(picked))
	for _, h := range picked {
		o, err := a.orderFor(r, h, repos)
		if err != nil {
			return nil, err
		}
		o.Detail.Target = aim
		orders = append(orders, o)
	}
	if r.Commit != "" && slices.ContainsFunc(picked, func(h fleet.Host) bool { return h.RepoID != picked[0].RepoID }) {
		return nil, &fleet.FieldError{Field: "hosts", Text: "they build from several repositories, and a commit belongs to one; order it for the hosts of one at a time"}
	}
	return orders, nil
}

func (a *App) repoStates(ctx context.Context) (map[int64]fleet.RepoView, error) {
	list, err := a.db.RepoStates(ctx)
	if err != nil {
		return nil, err
	}
	byID := make(map[int64]fleet.RepoView, len(list))
	for _, v := range list {
		byID[v.Repo.ID] = v
	}
	return byID, nil
}

func (a *App) orderFor(r fleet.OrderRequest, h fleet.Host, repos map[int64]fleet.RepoView) (fleet.Order, error) {
	repo, watched := repos[h.RepoID]
	commit := r.Commit
	if r.Kind == fleet.OrderPull || r.Kind == fleet.OrderDeploy {
		if !watched {
			return fleet.Order{}, &fleet.FieldError{Field: "hosts", Text: "the repository of " + h.Name + " is not watched any more, so there is nothing to bring"}
		}
		commit = cmp.Or(commit, repo.HeadSHA)
		if commit == "" {
			return fleet.Order{}, &fleet.FieldError{Field: "commit", Text: "the default branch of " + repo.Repo.FullName() + " was not read yet; name a commit, or ask again in a minute"}
		}
	}
	o := a.newOrder(h.Name, agentbus.Kind(r.Kind), fleet.Rollout{RepoID: h.RepoID, Commit: commit}, a.cfg.Now())
	o.Detail.Deploy = ownPolicy(repo.Policy)
	return o, nil
}

// ownPolicy is what of a policy an order of its own keeps to. Nobody leads a host
// that is on its own to a window for reboots, so with that policy it does not reboot
// by itself.
func ownPolicy(p *fleet.Policy) *fleet.DeployPolicy {
	if p == nil {
		return nil
	}
	d := &fleet.DeployPolicy{
		Timeouts: p.Deploy.Timeouts, Health: p.Deploy.Health, Settle: p.Deploy.Settle, Anchors: p.Deploy.Anchors,
		Unreachable: p.Deploy.Unreachable, Reboot: p.Deploy.Reboot,
	}
	if d.Reboot == "window" {
		d.Reboot = "never"
	}
	return d
}

// cancelOrders cancels one order, or all that hosts have. What a host has not taken
// up ends at once; what it works on ends when the host has stopped.
func (a *App) cancelOrders(ctx context.Context, r fleet.OrderRequest, hosts []fleet.Host) (orders []fleet.Order, nothing []Placed, err error) {
	picked, err := a.cancelAt(ctx, r, hosts)
	if err != nil {
		return nil, nil, err
	}
	names := make([]string, len(picked))
	for i, h := range picked {
		names[i] = h.Name
	}
	open, err := a.db.OpenOrders(ctx, names)
	if err != nil {
		return nil, nil, err
	}
	asked := map[string]bool{}
	for _, o := range open {
		asked[o.Detail.Cancels] = true
	}
	busy, coming := map[string]bool{}, map[string]bool{}
	for _, o := range open {
		switch {
		case r.Order != "" && o.ID != r.Order || o.Kind == fleet.OrderCancel || o.Kind == fleet.OrderNoop:
		case asked[o.ID]:
			coming[o.Host] = true
		default:
			busy[o.Host] = true
			c := a.newOrder(o.Host, agentbus.KindCancel, fleet.Rollout{RepoID: o.RepoID}, a.cfg.Now())
			c.Detail.Cancels = o.ID
			orders = append(orders, c)
		}
	}
	for _, h := range picked {
		switch {
		case busy[h.Name]:
		case coming[h.Name]:
			nothing = append(nothing, Placed{Host: h, Found: "Its cancel is on the way already."})
		default:
			nothing = append(nothing, Placed{Host: h, Found: "It has no order that could be cancelled."})
		}
	}
	return orders, nothing, nil
}

// cancelAt are the hosts whose orders a request cancels.
func (a *App) cancelAt(ctx context.Context, r fleet.OrderRequest, hosts []fleet.Host) ([]fleet.Host, error) {
	if r.Order == "" {
		return r.Pick(hosts)
	}
	o, err := a.db.Order(ctx, r.Order)
	switch {
	case err != nil:
		return nil, err
	case o.Kind == fleet.OrderCancel || o.Kind == fleet.OrderNoop:
		return nil, &fleet.FieldError{Field: "order", Text: "a " + o.Kind + " can't be cancelled"}
	case !o.EndedAt.IsZero():
		return nil, &fleet.FieldError{Field: "order", Text: fmt.Sprintf("it has ended as %s", o.State)}
	}
	return slices.DeleteFunc(slices.Clone(hosts), func(h fleet.Host) bool { return h.Name != o.Host }), nil
}

// placed says for each order what happens now.
func (a *App) placed(hosts []fleet.Host, orders []fleet.Order) []Placed {
	byName := make(map[string]fleet.Host, len(hosts))
	for _, h := range hosts {
		byName[h.Name] = h
	}
	now := a.cfg.Now()
	list := make([]Placed, len(orders))
	for i, o := range orders {
		h := byName[o.Host]
		list[i] = Placed{Host: h, Order: o, Found: whatNow(o, h.Online(now), now)}
	}
	return list
}

func whatNow(o fleet.Order, online bool, now time.Time) string {
	switch {
	case !o.EndedAt.IsZero():
		return fmt.Sprintf("It has ended as %s.", o.State)
	case !o.ReceivedAt.IsZero():
		return fmt.Sprintf("The host has it: %s.", o.State)
	case online:
		return "Sent."
	}
	until := o.ExpiresAt.UTC().Format("15:04 UTC")
	if o.ExpiresAt.UTC().YearDay() != now.UTC().YearDay() {
		until = o.ExpiresAt.UTC().Format("2006-01-02 15:04 UTC")
	}
	return "The host is offline; the order waits for it until " + until + "."
}
