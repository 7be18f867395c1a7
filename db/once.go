package db

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// OnceAnswer is what a request was answered.
type OnceAnswer struct {
	Status int
	Type   string
	Body   []byte
}

// OnceTurn is the right to carry out a request that may be repeated.
type OnceTurn struct {
	Actor string
	Key   string
	Token string
}

// ErrUnderWay means that somebody else carries the request out right now.
var ErrUnderWay = errors.New("the request is under way")

// onceTurnLasts is how long a turn is believed in: longer than any request may take.
// After that its server is taken for dead, and the next one may try.
const onceTurnLasts = 2 * time.Minute

// BeginOnce takes the turn to carry out a request, or finds what it was answered. A key
// that came with another sum since the given time is ErrOtherRequest, one whose turn is
// taken ErrUnderWay.
func (d *DB) BeginOnce(ctx context.Context, t OnceTurn, sum []byte, since, now time.Time) (*OnceAnswer, error) {
	type row struct {
		Same    bool
		EndedAt time.Time
		Status  int
		Type    string
		Body    []byte
	}
	for {
		tag, err := d.pool.Exec(ctx, `
			insert into once_requests as r (actor, key, sum, token, begun_at) values (@actor, @key, @sum, @token, @now)
			on conflict (actor, key) do update set
				sum = excluded.sum, token = excluded.token, begun_at = excluded.begun_at, ended_at = null, status = 0, type = '', body = null
			where r.begun_at < @since or r.ended_at is null and r.begun_at < @dead and r.sum = excluded.sum`,
			args{"actor": t.Actor, "key": t.Key, "sum": sum, "token": t.Token, "now": now, "since": since, "dead": now.Add(-onceTurnLasts)})
		if err != nil {
			return nil, fmt.Errorf("begin a request once: %w", err)
		}
		if tag.RowsAffected() == 1 {
			return nil, nil
		}
		r, err := one[row](ctx, d.pool, `
			select sum = @sum as same, ended_at, status, type, body from once_requests where actor = @actor and key = @key`,
			args{"actor": t.Actor, "key": t.Key, "sum": sum})
		switch {
		case errors.Is(err, ErrNotFound):
			continue // it was given back meanwhile
		case err != nil:
			return nil, fmt.Errorf("begin a request once: %w", err)
		case !r.Same:
			return nil, ErrOtherRequest
		case r.EndedAt.IsZero():
			return nil, ErrUnderWay
		}
		return &OnceAnswer{Status: r.Status, Type: r.Type, Body: r.Body}, nil
	}
}

// EndOnce keeps what the request of a turn was answered. A turn that was lost to
// another keeps nothing.
func (d *DB) EndOnce(ctx context.Context, t OnceTurn, a OnceAnswer, now time.Time) error {
	_, err := d.pool.Exec(ctx, `
		update once_requests set ended_at = @now, status = @status, type = @type, body = @body
		where actor = @actor and key = @key and token = @token`,
		args{"actor": t.Actor, "key": t.Key, "token": t.Token, "now": now, "status": a.Status, "type": a.Type, "body": a.Body})
	if err != nil {
		return fmt.Errorf("keep the answer of a request: %w", err)
	}
	return nil
}

// DropOnce gives a turn back of which nothing came.
func (d *DB) DropOnce(ctx context.Context, t OnceTurn) error {
	_, err := d.pool.Exec(ctx, `delete from once_requests where actor = @actor and key = @key and token = @token`,
		args{"actor": t.Actor, "key": t.Key, "token": t.Token})
	if err != nil {
		return fmt.Errorf("give a request back: %w", err)
	}
	return nil
}

// PruneOnce forgets requests from before the given time, at most so many.
func (d *DB) PruneOnce(ctx context.Context, before time.Time, most int) (int, error) {
	tag, err := d.pool.Exec(ctx, `
		delete from once_requests where (actor, key) in (select actor, key from once_requests where begun_at < @before limit @most)`,
		args{"before": before, "most": most})
	if err != nil {
		return 0, fmt.Errorf("prune requests: %w", err)
	}
	return int(tag.RowsAffected()), nil
}
