package db

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nixfleet/nixfleet/fleet"
)

// BeginSignIn notes that a browser was sent to GitHub: hashes of the state that has to
// come back, and of the secret that the browser keeps meanwhile.
func (d *DB) BeginSignIn(ctx context.Context, state, browser []byte, next string, expires time.Time) error {
	_, err := d.pool.Exec(ctx, `insert into sign_ins (state, browser, next, expires_at) values (@state, @browser, @next, @expires)`,
		args{"state": state, "browser": browser, "next": next, "expires": expires})
	if err != nil {
		return fmt.Errorf("note a sign-in: %w", err)
	}
	return nil
}

// UseSignIn ends a visit that came back, by whichever browser. One that is unknown, has
// come back before, has expired or began in another browser is ErrNotFound.
func (d *DB) UseSignIn(ctx context.Context, state, browser []byte, now time.Time) (next string, err error) {
	type visit struct {
		Next string
		Ours bool
	}
	v, err := one[visit](ctx, d.pool, `delete from sign_ins where state = @state
		returning next, browser = @browser and expires_at > @now ours`, args{"state": state, "browser": browser, "now": now})
	if err == nil && !v.Ours {
		err = ErrNotFound
	}
	if err != nil {
		return "", fmt.Errorf("end a sign-in: %w", err)
	}
	return v.Next, nil
}

// Person is somebody who has signed in with GitHub.
type Person struct {
	ID         int64
	Login      string
	Role       string // none, viewer, operator or admin
	Because    string // such as: write on aurora/nixcfg
	CheckedAt  time.Time
	Problem    string // why the last look did not tell
	SignedInAt time.Time
}

const personColumns = `id, login, role, because, checked_at, problem, signed_in_at`

// seePerson stores what GitHub said of somebody who signs in. Sessions of another role
// end: a session never changes what it may do.
func (d *DB) seePerson(ctx context.Context, tx pgx.Tx, s NewSession, now time.Time) error {
	if _, err := tx.Exec(ctx, `
		insert into people (id, login, role, because, checked_at, due_at, signed_in_at)
		values (@id, @login, @role, @because, @asked, @again, @now)
		on conflict (id) do update set login = excluded.login, role = excluded.role, because = excluded.because,
			checked_at = excluded.checked_at, due_at = excluded.due_at, problem = '', signed_in_at = excluded.signed_in_at`,
		args{"id": s.Owner.Person, "login": s.Owner.Actor, "role": s.Role, "because": s.Because, "asked": s.Asked, "again": s.Again, "now": now}); err != nil {
		return err
	}
	return endOthers(ctx, tx, s.Owner.Person, s.Role, s.Because, now)
}

// endOthers ends the sessions of a person that have another role.
func endOthers(ctx context.Context, tx pgx.Tx, person int64, role, because string, now time.Time) error {
	why := "Your role is " + role + " now: you have " + because + "."
	if role == "none" {
		why = "Your access has ended: you have " + because + "."
	}
	_, err := tx.Exec(ctx, `update sessions set expires_at = @now, ended_why = @why where person_id = @id and role <> @role and expires_at > @now`,
		args{"now": now, "why": why, "id": person, "role": role})
	return err
}

// ClaimPerson takes somebody whose role is due to be asked for, because a session or a
// token of theirs lasts; until then nobody else does. Nobody is ErrNotFound.
func (d *DB) ClaimPerson(ctx context.Context, now, until time.Time) (Person, error) {
	p, err := one[Person](ctx, d.pool, `
		update people set due_at = @until where id = (
			select id from people p where due_at <= @now and (
				exists (select from sessions where person_id = p.id and expires_at > @now)
				or exists (select from tokens where person_id = p.id and revoked_at is null and (expires_at is null or expires_at > @now)))
			order by due_at limit 1 for update skip locked)
		returning `+personColumns, args{"now": now, "until": until})
	if err != nil {
		return Person{}, fmt.Errorf("claim a person: %w", err)
	}
	return p, nil
}

// CheckedPerson stores what GitHub said of somebody; p.CheckedAt is when it was asked.
// What is known since a later time stays. Where the role is another one, their sessions
// end, and the history says so.
func (d *DB) CheckedPerson(ctx context.Context, p Person, again, now time.Time) error {
	err := d.tx(ctx, func(tx pgx.Tx) error {
		was, err := one[Person](ctx, tx, `select `+personColumns+` from people where id = @id for update`, args{"id": p.ID})
		if err != nil || was.CheckedAt.After(p.CheckedAt) {
			return err
		}
		if _, err := tx.Exec(ctx, `update people set login = @login, role = @role, because = @because, checked_at = @checked, due_at = @again, problem = ''
			where id = @id`,
			args{"id": p.ID, "login": p.Login, "role": p.Role, "because": p.Because, "checked": p.CheckedAt, "again": again}); err != nil {
			return err
		}
		if was.Role == p.Role {
			return nil
		}
		if err := endOthers(ctx, tx, p.ID, p.Role, p.Because, now); err != nil {
			return err
		}
		if err := remember(ctx, tx, Event{
			At: now, Actor: p.Login, Kind: "person.role_changed", Subject: Owner{Person: p.ID}.subject(),
			Detail: map[string]any{"from": was.Role, "to": p.Role}, Reason: p.Login + " has " + p.Because + ".",
		}); err != nil {
			return err
		}
		return d.notify(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("store the role of person %d: %w", p.ID, err)
	}
	return nil
}

// UncheckedPerson notes why the role of somebody could not be found out, and when to
// ask again.
func (d *DB) UncheckedPerson(ctx context.Context, id int64, problem string, again time.Time) error {
	_, err := d.pool.Exec(ctx, `update people set problem = @problem, due_at = @again where id = @id`,
		args{"id": id, "problem": problem, "again": again})
	if err != nil {
		return fmt.Errorf("note that the role of person %d is not known: %w", id, err)
	}
	return nil
}

// People lists everybody who has signed in with GitHub, and others as long as a
// session or a token of theirs lasts; the latest first.
func (d *DB) People(ctx context.Context, now time.Time, idle time.Duration) ([]fleet.PersonView, error) {
	list, err := all[fleet.PersonView](ctx, d.pool, `
		with lasting as (
			select person_id, actor, role, began_at, seen_at, 1 session, 0 token from sessions where expires_at > @now and seen_at > @idle
			union all
			select person_id, actor, role, created_at, used_at, 0, 1 from tokens where revoked_at is null and (expires_at is null or expires_at > @now)
		), local as (
			select actor, max(began_at) signed_in_at, max(seen_at) seen_at, sum(session) sessions, sum(token) tokens,
				(array['viewer', 'operator', 'admin'])[max(array_position(array['viewer', 'operator', 'admin'], role))] role
			from lasting where person_id is null group by actor
		), github as (
			select person_id, max(seen_at) seen_at, sum(session) sessions, sum(token) tokens from lasting where person_id is not null group by person_id
		)
		select p.id, p.login, p.role, p.because, p.checked_at checked, p.problem, p.signed_in_at signed_in,
			coalesce(g.seen_at, p.signed_in_at) seen, coalesce(g.sessions, 0)::int sessions, coalesce(g.tokens, 0)::int tokens
		from people p left join github g on g.person_id = p.id
		union all
		select 0, actor, role, '', null, '', signed_in_at, seen_at, sessions::int, tokens::int from local
		order by seen desc nulls last, login`, args{"now": now, "idle": now.Add(-idle)})
	if err != nil {
		return nil, fmt.Errorf("list people: %w", err)
	}
	return list, nil
}
