-- Notices: who is told what happens, and what became of each message.

-- +goose Up

create table receivers (
    id            bigint generated always as identity primary key,
    name          text not null unique,
    service       text not null default '', -- kind of its address, for people
    sealed        bytea,          -- its address, encrypted with a key that is not in the database; null: in the server's file
    enabled       boolean not null default true,
    rule          jsonb not null,
    request       text not null default '', -- names the form that made it, so that a second click makes no second one
    changed_by    text not null,
    changed_at    timestamptz not null,
    last_sent     timestamptz,
    failing_since timestamptz,    -- null: the last attempt went well
    last_error    text not null default ''
);
create unique index receivers_request on receivers (request) where request <> '';

-- A line of history that may be news. It gets here in the transaction that writes the
-- line, whoever writes it: an older program too, and code that knows nothing of notices.
create table notices (
    id    bigint primary key, -- of the line of history
    at    timestamptz not null,
    facts jsonb               -- null until it was looked at; what no receiver wants is deleted then
);
create index notices_fresh on notices (id) where facts is null;

-- +goose StatementBegin
create function note_news() returns trigger language plpgsql as $$
begin
    insert into notices (id, at)
    select id, at from added
    where kind ~ '^(update|rollout|quarantine|trouble)\.' or kind in ('order.failed', 'order.reverted', 'receiver.tested');
    return null;
end $$;
-- +goose StatementEnd
create trigger history_news after insert on history referencing new table as added
    for each statement execute function note_news();

-- One notice for one receiver. What is due is raised as an effect of its receiver.
create table notice_deliveries (
    id          bigint generated always as identity primary key,
    receiver_id bigint not null references receivers on delete cascade,
    notice_id   bigint not null references notices on delete cascade,
    kind        text not null,
    collected   boolean not null, -- it goes with others into one message
    due_at      timestamptz not null,
    state       text not null default 'waiting',
    attempts    int not null default 0,
    error       text not null default '',
    ended_at    timestamptz,
    unique (receiver_id, notice_id),
    constraint notice_deliveries_state check (state in ('waiting', 'sent', 'failed', 'dropped'))
);
create index notice_deliveries_due on notice_deliveries (due_at) where state = 'waiting';
create index notice_deliveries_notice on notice_deliveries (notice_id);

-- What is wrong and lasts, so that people are told when it begins and when it ends.
create table troubles (
    key     text primary key,
    kind    text not null,
    subject text not null,
    since   timestamptz not null,
    seen_at timestamptz not null,
    told    boolean not null default false
);
