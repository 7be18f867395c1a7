-- +goose Up

-- Requests that may be repeated, by the key that the caller gave them, and what they
-- were answered. Older replicas do not know of them.
create table once_requests (
    actor    text not null,
    key      text not null,
    sum      bytea not null, -- of what is asked for
    token    text not null,  -- of the one who carries it out
    begun_at timestamptz not null,
    ended_at timestamptz,
    status   int not null default 0,
    type     text not null default '',
    body     bytea,
    primary key (actor, key)
);
create index once_requests_begun on once_requests (begun_at);
