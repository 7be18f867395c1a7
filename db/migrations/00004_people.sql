-- People: who signed in with GitHub and what they may do, their sessions, and tokens
-- for programs.

-- +goose Up

-- The id of the account on GitHub says who somebody is: a login can be given up, and
-- be somebody else's next.
create table people (
    id           bigint primary key,
    login        text not null,
    role         text not null check (role in ('none', 'viewer', 'operator', 'admin')),
    because      text not null,            -- such as: write on aurora/nixcfg
    checked_at   timestamptz not null,     -- when GitHub said so
    due_at       timestamptz not null,     -- when it is asked again
    problem      text not null default '', -- why the last look did not tell
    signed_in_at timestamptz not null
);
create index people_due on people (due_at);

-- A session whose person is null began on the server's own machine, with a link or
-- the admin token. One that was ended has expired by then, so that whoever does not
-- know the other columns knows that.
alter table sessions
    add column id text not null default gen_random_uuid()::text unique, -- names it where its token must not be
    add column person_id bigint references people on delete cascade,
    add column began_at timestamptz not null default now(),
    add column seen_at timestamptz not null default now(),
    add column address text not null default '', -- where it began
    add column browser text not null default '',
    add column ended_why text not null default '';
create index sessions_person on sessions (person_id, expires_at);

-- Visits to GitHub's page that asks who signs in.
create table sign_ins (
    state      bytea primary key, -- hash of what GitHub brings back
    browser    bytea not null,    -- hash of what the browser that began holds
    next       text not null,     -- where the person wanted to go
    expires_at timestamptz not null
);

-- Tokens of programs. One that belongs to a person can do no more than they.
create table tokens (
    id         text primary key,
    hash       bytea not null unique,
    name       text not null,
    role       text not null check (role in ('viewer', 'operator', 'admin')),
    actor      text not null, -- who made it, as sessions name them
    person_id  bigint references people on delete cascade,
    created_at timestamptz not null,
    expires_at timestamptz,   -- null: never
    used_at    timestamptz,
    used_from  text not null default '',
    revoked_at timestamptz,
    revoked_by text not null default ''
);
create unique index tokens_name on tokens (coalesce(person_id, 0), (case when person_id is null then actor else '' end), name) where revoked_at is null;
create index tokens_person on tokens (person_id) where revoked_at is null;
