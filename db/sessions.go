package db

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Sign-in knows hashes only: whoever reads the database can't sign in with it. It is
// kept in columns and not in a session library's opaque records, because sessions are
// found by their person: to list them, to end all of them, and to end those whose role
// has changed, in the transaction that changes it.

// Owner is whom sessions and tokens belong to: somebody on GitHub by the account's id,
// or a name given on the server's own machine.
type Owner struct {
	Person int64  // 0 where it is nobody on GitHub
	Actor  string // the login, or that name
}

// subject names an owner in the history.
func (o Owner) subject() string {
	if o.Person != 0 {
		return fmt.Sprintf("person/%d", o.Person)
	}
	return "local/" + o.Actor
}

// owned is a condition on rows of sessions or tokens: that they belong to an owner.
const owned = ` (person_id = @person or @person = 0::bigint and person_id is null and actor = @actor) `

// CreateLogin stores the hash of a one-time sign-in token.
func (d *DB) CreateLogin(ctx context.Context, hash []byte, actor, role string, expires time.Time) error {
	_, err := d.pool.Exec(ctx, `insert into logins (hash, actor, role, expires_at) values (@hash, @actor, @role, @expires)`,
		args{"hash": hash, "actor": actor, "role": role, "expires": expires})
	if err != nil {
		return fmt.Errorf("create login for %s: %w", cleanText(actor), err)
	}
	return nil
}

// UseLogin consumes a one-time token. One that is unknown, used or expired is
// ErrNotFound.
func (d *DB) UseLogin(ctx context.Context, hash []byte, now time.Time) (actor, role string, err error) {
	type login struct{ Actor, Role string }
	r, err := one[login](ctx, d.pool, `
		update logins set used_at = @now where hash = @hash and used_at is null and expires_at > @now
		returning actor, role`, args{"hash": hash, "now": now})
	if err != nil {
		return "", "", fmt.Errorf("use login: %w", err)
	}
	return r.Actor, r.Role, nil
}

// NewSession is a session that begins.
type NewSession struct {
	Hash    []byte // of its token
	ID      string // names it where its token must not be
	Owner   Owner
	Role    string
	Because string    // why that role, for people on GitHub
	Asked   time.Time // when GitHub was asked for it
	Again   time.Time // when it is asked next
	Expires time.Time
	Address string // where the browser is
	Browser string // what it says it is
	By      string // the owner as the history writes it, with the way
	Reason  string // of the line of history
}

// BeginSession stores a session, with its line of history. Somebody on GitHub is known
// from then on with the role that was found.
func (d *DB) BeginSession(ctx context.Context, s NewSession, now time.Time) error {
	err := d.tx(ctx, func(tx pgx.Tx) error {
		if s.Owner.Person != 0 {
			if err := d.seePerson(ctx, tx, s, now); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(ctx, `
			insert into sessions (hash, id, actor, role, person_id, began_at, seen_at, expires_at, address, browser)
			values (@hash, @id, @actor, @role, nullif(@person::bigint, 0), @now, @now, @expires, @address, @browser)`,
			args{"hash": s.Hash, "id": s.ID, "actor": s.Owner.Actor, "role": s.Role, "person": s.Owner.Person, "now": now,
				"expires": s.Expires, "address": s.Address, "browser": s.Browser}); err != nil {
			return err
		}
		if err := remember(ctx, tx, Event{
			At: now, Actor: s.By, Kind: "person.signed_in", Subject: s.Owner.subject(), Reason: s.Reason,
			Detail: map[string]any{"role": s.Role, "address": s.Address, "session": s.ID},
		}); err != nil {
			return err
		}
		return d.notify(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("begin a session of %s: %w", cleanText(s.Owner.Actor), err)
	}
	return nil
}

// Session is one that lasts.
type Session struct {
	ID      string
	Owner   Owner
	Role    string // that it began with; a person's own may be another by now
	Began   time.Time
	Seen    time.Time // when it was last used, to the minute
	Expires time.Time
	Address string
	Browser string

	PersonRole string    // of the person; empty where there is none
	Because    string    // why
	Checked    time.Time // when GitHub last said so
}

type sessionRow struct {
	ID, Actor, Role, Address, Browser string
	PersonID                          int64
	BeganAt, SeenAt, ExpiresAt        time.Time
	PersonRole, Because               string
	CheckedAt                         time.Time
}

const sessionColumns = `s.id, coalesce(p.login, s.actor) actor, s.role, s.address, s.browser, coalesce(s.person_id, 0) person_id,
	s.began_at, s.seen_at, s.expires_at, coalesce(p.role, '') person_role, coalesce(p.because, '') because, p.checked_at
	from sessions s left join people p on p.id = s.person_id`

func (r sessionRow) session() Session {
	return Session{
		ID: r.ID, Owner: Owner{r.PersonID, r.Actor}, Role: r.Role, Began: r.BeganAt, Seen: r.SeenAt, Expires: r.ExpiresAt,
		Address: r.Address, Browser: r.Browser, PersonRole: r.PersonRole, Because: r.Because, Checked: r.CheckedAt,
	}
}

// seenEvery bounds how often the use of a session or a token is written down.
const seenEvery = time.Minute

// Session returns the session of a token, and notes that it is used. One that is
// unknown, was ended, has expired or was not used for idle is ErrNotFound.
func (d *DB) Session(ctx context.Context, hash []byte, now time.Time, idle time.Duration) (Session, error) {
	r, err := one[sessionRow](ctx, d.pool, `select `+sessionColumns+`
		where s.hash = @hash and s.expires_at > @now and s.seen_at > @idle`, args{"hash": hash, "now": now, "idle": now.Add(-idle)})
	if err == nil && now.Sub(r.SeenAt) >= seenEvery {
		_, err = d.pool.Exec(ctx, `update sessions set seen_at = @now where hash = @hash and seen_at < @now`, args{"hash": hash, "now": now})
	}
	if err != nil {
		return Session{}, fmt.Errorf("read session: %w", err)
	}
	return r.session(), nil
}

// WhyEnded says why a session was ended; empty where it was not, or is forgotten.
func (d *DB) WhyEnded(ctx context.Context, hash []byte) (string, error) {
	why, err := value[string](ctx, d.pool, `select ended_why from sessions where hash = @hash`, args{"hash": hash})
	if errors.Is(err, ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read why a session ended: %w", err)
	}
	return why, nil
}

// Sessions lists the sessions of an owner that last, the latest use first.
func (d *DB) Sessions(ctx context.Context, o Owner, now time.Time, idle time.Duration) ([]Session, error) {
	rows, err := all[sessionRow](ctx, d.pool, `select `+sessionColumns+`
		where s.expires_at > @now and s.seen_at > @idle and (s.person_id = @person or @person = 0::bigint and s.person_id is null and s.actor = @actor)
		order by s.seen_at desc, s.began_at desc`,
		args{"now": now, "idle": now.Add(-idle), "person": o.Person, "actor": o.Actor})
	if err != nil {
		return nil, fmt.Errorf("list sessions of %s: %w", cleanText(o.Actor), err)
	}
	list := make([]Session, len(rows))
	for i, r := range rows {
		list[i] = r.session()
	}
	return list, nil
}

// SessionEnd is why sessions end, and at whose wish.
type SessionEnd struct {
	Only []byte // hash of the one that ends; nil with ID
	ID   string // of the one that ends; empty with Only, or for all of the owner
	By   string
	Why  string // for the person whose session it was
}

// EndSessions ends one session of an owner, or all, and says how many lasted until
// then. Ending what is gone is no error.
func (d *DB) EndSessions(ctx context.Context, o Owner, e SessionEnd, now time.Time) (n int, err error) {
	err = d.tx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `update sessions set expires_at = @now, ended_why = @why
			where expires_at > @now and `+owned+` and (@only::bytea is null or hash = @only) and (@id = '' or id = @id)`,
			args{"now": now, "why": e.Why, "person": o.Person, "actor": o.Actor, "only": e.Only, "id": e.ID})
		if n = int(tag.RowsAffected()); err != nil || n == 0 {
			return err
		}
		if err := remember(ctx, tx, Event{
			At: now, Actor: e.By, Kind: "session.ended", Subject: o.subject(), Reason: e.Why, Detail: map[string]any{"sessions": n, "of": o.Actor},
		}); err != nil {
			return err
		}
		return d.notify(ctx, tx)
	})
	if err != nil {
		return 0, fmt.Errorf("end sessions of %s: %w", cleanText(o.Actor), err)
	}
	return n, nil
}

// keepEnded is how long a session that ended can still tell why.
const keepEnded = 24 * time.Hour

// PruneSignIn forgets visits, sessions and tokens that have long expired.
func (d *DB) PruneSignIn(ctx context.Context, now time.Time) error {
	_, err := d.pool.Exec(ctx, `
		with gone as (delete from logins where expires_at <= @now), away as (delete from setup_visits where expires_at <= @now),
			lost as (delete from sign_ins where expires_at <= @now),
			dead as (delete from tokens where least(expires_at, revoked_at) <= @old)
		delete from sessions where expires_at <= @then`, args{"now": now, "then": now.Add(-keepEnded), "old": now.Add(-keepTokens)})
	if err != nil {
		return fmt.Errorf("prune sign-in: %w", err)
	}
	return nil
}
