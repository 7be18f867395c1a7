package db

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// Effect is something to do to the outside world. Key makes it one of its kind:
// asking for it again while it waits is the same wish, while it is being carried
// out another one.
type Effect struct {
	Key     string
	Kind    string          // merge, comment, check, branch (delete it), react, deployment, revert, propose, lock, notify or send
	Payload json.RawMessage // {"update_id", "head_sha"}, {"update_id", "comment", "content"}, {"rollout"}, {"order"}, {"proposal"}, {"receiver"} or {"host"}
	Attempt int             // 1 the first time that it is claimed

	fence, wake int64
}

// Payloads of effects.
type (
	updatePayload struct {
		UpdateID int64  `json:"update_id"`
		HeadSHA  string `json:"head_sha,omitempty"`
	}
	reactPayload struct {
		UpdateID int64  `json:"update_id"`
		Comment  int64  `json:"comment"`
		Content  string `json:"content"`
	}
	rolloutPayload struct {
		Rollout string `json:"rollout"`
	}
	proposalPayload struct {
		Proposal string `json:"proposal"`
	}
	hostPayload struct {
		Host string `json:"host"`
	}
)

func mergeEffect(updateID int64, sha string) Effect {
	return newEffect("merge", strconv.FormatInt(updateID, 10)+":"+sha, updatePayload{UpdateID: updateID, HeadSHA: sha})
}

func commentEffect(updateID int64) Effect {
	return newEffect("comment", strconv.FormatInt(updateID, 10), updatePayload{UpdateID: updateID})
}

func checkEffect(updateID int64) Effect {
	return newEffect("check", strconv.FormatInt(updateID, 10), updatePayload{UpdateID: updateID})
}

func branchEffect(updateID int64) Effect {
	return newEffect("branch", strconv.FormatInt(updateID, 10), updatePayload{UpdateID: updateID})
}

func reactEffect(updateID, comment int64, content string) Effect {
	return newEffect("react", fmt.Sprintf("%d:%s", comment, content), reactPayload{UpdateID: updateID, Comment: comment, Content: content})
}

func deploymentEffect(rollout string) Effect {
	return newEffect("deployment", rollout, rolloutPayload{Rollout: rollout})
}

func revertEffect(rollout string) Effect {
	return newEffect("revert", rollout, rolloutPayload{Rollout: rollout})
}

func lockEffect(proposal string) Effect {
	return newEffect("lock", proposal, proposalPayload{Proposal: proposal})
}

func sendEffect(host string) Effect { return newEffect("send", host, hostPayload{Host: host}) }

func newEffect(kind, about string, payload any) Effect {
	// Payloads are the structs above, which always encode.
	b, _ := marshalJSON(payload)
	return Effect{Key: kind + ":" + about, Kind: kind, Payload: b}
}

// putEffects asks for effects, or for one more round of those under way.
func putEffects(ctx context.Context, q querier, now time.Time, effects ...Effect) error {
	return insertEffects(ctx, q, now, effects, `do update set wake = waiting.wake + 1, due_at = least(waiting.due_at, @now)`)
}

// keepEffects asks for effects unless they have been asked for.
func keepEffects(ctx context.Context, q querier, now time.Time, effects ...Effect) error {
	return insertEffects(ctx, q, now, effects, `do nothing`)
}

func insertEffects(ctx context.Context, q querier, now time.Time, effects []Effect, conflict string) error {
	if len(effects) == 0 {
		return nil
	}
	var keys, kinds, payloads []string
	for _, e := range effects {
		keys, kinds, payloads = append(keys, e.Key), append(kinds, e.Kind), append(payloads, string(e.Payload))
	}
	_, err := q.Exec(ctx, `
		insert into outbox as waiting (key, kind, payload, created_at, due_at)
		select key, kind, payload, @now, @now from unnest(@keys::text[], @kinds::text[], @payloads::jsonb[]) e (key, kind, payload)
		order by key
		on conflict (key) `+conflict,
		args{"keys": keys, "kinds": kinds, "payloads": payloads, "now": now})
	if err != nil {
		return fmt.Errorf("put effects: %w", err)
	}
	return nil
}

// ClaimEffects hands out up to n effects of the given kinds (of any, if none is
// given) that are due. They stay out of sight of
// other workers until the lease has run out.
func (d *DB) ClaimEffects(ctx context.Context, now time.Time, lease time.Duration, n int, kinds ...string) ([]Effect, error) {
	rows, err := d.pool.Query(ctx, `
		with due as (
			select key from outbox
			where due_at <= @now and (lease_until is null or lease_until <= @now)
				and (coalesce(cardinality(@kinds::text[]), 0) = 0 or kind = any(@kinds))
			order by due_at limit @n for update skip locked
		)
		update outbox o set due_at = @until, lease_until = @until, fence = fence + 1, attempt = attempt + 1
		from due where o.key = due.key
		returning o.key, o.kind, o.payload, o.attempt, o.fence, o.wake`,
		args{"now": now, "until": now.Add(lease), "n": n, "kinds": kinds})
	if err != nil {
		return nil, fmt.Errorf("claim effects: %w", err)
	}
	claimed, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (Effect, error) {
		var e Effect
		err := r.Scan(&e.Key, &e.Kind, &e.Payload, &e.Attempt, &e.fence, &e.wake)
		return e, err
	})
	if err != nil {
		return nil, fmt.Errorf("claim effects: %w", err)
	}
	return claimed, nil
}

// FinishEffect ends an effect that was carried out. If it was asked for again
// meanwhile, it stays and is due at once. That is a statement of its own: one that
// waited for whoever asks again would go by what it saw before, and find nothing.
func (d *DB) FinishEffect(ctx context.Context, e Effect) error {
	a := args{"key": e.Key, "fence": e.fence, "wake": e.wake}
	err := guarded(ctx, d.pool, `delete from outbox where key = @key and fence = @fence and wake = @wake`, a)
	if errors.Is(err, ErrConflict) {
		err = guarded(ctx, d.pool, `
			update outbox set lease_until = null, attempt = 0, error = ''
			where key = @key and fence = @fence and wake <> @wake`, a)
	}
	if err != nil {
		return fmt.Errorf("finish effect %s: %w", e.Key, err)
	}
	return nil
}

// FinishEffects is [DB.FinishEffect] for many, in two statements however many they
// are. Those that another worker has by now are left to it.
func (d *DB) FinishEffects(ctx context.Context, effects []Effect) error {
	a := manyEffects(effects)
	for _, sql := range []string{
		`delete from outbox o using done d where o.key = d.key and o.fence = d.fence and o.wake = d.wake`,
		`update outbox o set lease_until = null, attempt = 0, error = '' from done d
			where o.key = d.key and o.fence = d.fence and o.wake <> d.wake and o.lease_until is not null`,
	} {
		if _, err := d.pool.Exec(ctx, manyDone+sql, a); err != nil {
			return fmt.Errorf("finish %d effects: %w", len(effects), err)
		}
	}
	return nil
}

// RetryEffects is [DB.RetryEffect] for many that failed together.
func (d *DB) RetryEffects(ctx context.Context, effects []Effect, at time.Time, reason string) error {
	a := manyEffects(effects)
	a["at"], a["reason"] = at, clip(reason)
	_, err := d.pool.Exec(ctx, manyDone+`
		update outbox o set due_at = @at, lease_until = null, error = @reason from done d
		where o.key = d.key and o.fence = d.fence and o.lease_until is not null`, a)
	if err != nil {
		return fmt.Errorf("put off %d effects: %w", len(effects), err)
	}
	return nil
}

// manyDone is the effects of manyEffects as a table.
const manyDone = `with done as (select * from unnest(@keys::text[], @fences::bigint[], @wakes::bigint[]) e (key, fence, wake)) `

func manyEffects(effects []Effect) args {
	keys, fences, wakes := make([]string, len(effects)), make([]int64, len(effects)), make([]int64, len(effects))
	for i, e := range effects {
		keys[i], fences[i], wakes[i] = e.Key, e.fence, e.wake
	}
	return args{"keys": keys, "fences": fences, "wakes": wakes}
}

// RetryEffect puts off an effect that was not carried out, with the reason. If it
// was asked for again meanwhile, it keeps to its time all the same: the reason to
// wait is outside.
func (d *DB) RetryEffect(ctx context.Context, e Effect, at time.Time, reason string) error {
	return d.putOff(ctx, e, at, reason, e.Attempt)
}

// PostponeEffect is RetryEffect for what did not fail: its attempts are counted anew.
func (d *DB) PostponeEffect(ctx context.Context, e Effect, at time.Time, reason string) error {
	return d.putOff(ctx, e, at, reason, 0)
}

func (d *DB) putOff(ctx context.Context, e Effect, at time.Time, reason string, attempt int) error {
	err := guarded(ctx, d.pool, `
		update outbox set due_at = @at, lease_until = null, error = @reason, attempt = @attempt
		where key = @key and fence = @fence and lease_until is not null`,
		args{"key": e.Key, "fence": e.fence, "at": at, "reason": clip(reason), "attempt": attempt})
	if err != nil {
		return fmt.Errorf("put off effect %s: %w", e.Key, err)
	}
	return nil
}
