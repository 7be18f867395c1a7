package db

import (
	"context"
	"fmt"

	"github.com/nixfleet/nixfleet/fleet"
)

// UpdatePage picks updates from the list of all of them, newest first.
type UpdatePage struct {
	States []fleet.UpdateState // none means any
	RepoID int64               // 0 means any
	Before int64               // id of the last one of the page before; 0 begins with the newest
	Limit  int
}

// Updates lists updates, newest first.
func (d *DB) Updates(ctx context.Context, p UpdatePage) ([]fleet.Update, error) {
	states := make([]string, len(p.States))
	for i, s := range p.States {
		states[i] = string(s)
	}
	rows, err := all[updateRow](ctx, d.pool, `
		select `+updateColumns+` from updates u `+updateJoins+`
		where not u.ignored and u.head_sha <> '' and not r.removed
			and (cardinality(@states::text[]) = 0 or u.state = any(@states)) and (@repo = 0 or u.repo_id = @repo)
			and (@before = 0 or u.id < @before)
		order by u.id desc limit @n`,
		args{"states": states, "repo": p.RepoID, "before": p.Before, "n": p.Limit})
	if err != nil {
		return nil, fmt.Errorf("list updates: %w", err)
	}
	list := make([]fleet.Update, len(rows))
	for i, r := range rows {
		list[i] = r.update()
	}
	return list, nil
}

// OrderState is how far one order is.
type OrderState struct {
	ID    string
	Host  string
	Kind  string
	State string
}

// OpenOrderStates are those of the orders that have not ended.
func (d *DB) OpenOrderStates(ctx context.Context) ([]OrderState, error) {
	list, err := all[OrderState](ctx, d.pool, `select id, host, kind, state from orders where ended_at is null order by host, gen`, args{})
	if err != nil {
		return nil, fmt.Errorf("read the states of orders: %w", err)
	}
	return list, nil
}
