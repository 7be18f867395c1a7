-- Tables of the main job: inbox, repositories, updates, hosts, rollouts, orders,
-- answers, outbox, history, sign-in.
--
-- Rows that are worked on carry the same five columns:
--   due_at      when to look again; null: only when woken
--   lease_until until when a worker has it; a crashed worker's lease runs out
--   fence       counts claims; a worker may only store with the fence it was given
--   wake        counts wake-ups; one that comes during work is seen at its end
--   attempt     claims since the last success, for backing off

-- +goose Up
create table compatibility (
    -- the newest schema version that a program must know to work with this
    -- database; a migration that older programs cannot live with raises it
    oldest_reader bigint not null
);
insert into compatibility values (1);

create table inbox (
    id           bigint generated always as identity primary key,
    hook_id      bigint not null,
    guid         text not null,
    event        text not null,
    action       text not null,
    headers      jsonb not null,
    payload      bytea not null,
    received_at  timestamptz not null,
    due_at       timestamptz,
    lease_until  timestamptz,
    fence        bigint not null default 0,
    attempt      int not null default 0,
    processed_at timestamptz,
    error        text not null default '',
    unique (hook_id, guid)
);
-- Compressing a payload is most of what storing it costs; lz4 is much faster than
-- the default, where Postgres was built with it.
-- +goose StatementBegin
do $$ begin
    alter table inbox alter column payload set compression lz4;
exception when feature_not_supported then
    null;
end $$;
-- +goose StatementEnd
create index inbox_due on inbox (due_at) where due_at is not null;
create index inbox_processed on inbox (processed_at) where processed_at is not null;

create table installations (
    id         bigint primary key,
    account    text not null default '',
    removed    boolean not null default false,
    suspended  boolean not null default false,
    changed_at timestamptz not null
);

create table repos (
    id              bigint primary key,
    installation_id bigint not null,
    owner           text not null,
    name            text not null,
    default_branch  text not null default '',
    removed         boolean not null default false,
    head_sha        text not null default '',
    head_at         timestamptz,
    policy_error    text not null default '',
    policy          jsonb, -- as last read
    created_at      timestamptz not null,
    due_at          timestamptz,
    lease_until     timestamptz,
    fence           bigint not null default 0,
    wake            bigint not null default 0,
    attempt         int not null default 0
);
create index repos_due on repos (due_at) where due_at is not null;

create table updates (
    id           bigint generated always as identity primary key,
    repo_id      bigint not null references repos,
    number       int not null,
    ignored      boolean not null default false, -- looked at, and not an update at all
    title        text not null default '',
    url          text not null default '',
    head_sha     text not null default '',
    state        text not null,
    verdict      jsonb not null default '{}',
    request      jsonb,
    hold         jsonb,
    refusal      jsonb,
    first_seen   timestamptz not null,
    merge_sha    text not null default '',
    merged_by    text not null default '',
    merged_at    timestamptz,
    comment_id   bigint not null default 0,
    comment_sum  text not null default '',
    check_run_id bigint not null default 0,
    check_sha    text not null default '',
    check_sum    text not null default '',
    changed_at   timestamptz not null,
    due_at       timestamptz,
    lease_until  timestamptz,
    fence        bigint not null default 0,
    wake         bigint not null default 0,
    attempt      int not null default 0,
    unique (repo_id, number),
    constraint updates_state check (state in ('observed', 'checks', 'holding', 'ready', 'merging', 'merged',
        'failing', 'blocked', 'conflict', 'closed', 'superseded')),
    constraint updates_merged check ((state = 'merged') = (merged_at is not null))
);
create index updates_due on updates (due_at) where due_at is not null;
create index updates_changed on updates (changed_at) where not ignored;

create table head_sightings (
    update_id     bigint not null references updates on delete cascade,
    sha           text not null,
    seen_at       timestamptz not null,
    checks_passed timestamptz,
    primary key (update_id, sha)
);

create table requests (
    id          bigint generated always as identity primary key,
    repo_id     bigint not null references repos,
    number      int not null,
    kind        text not null check (kind in ('pressed', 'commented')),
    action      text not null,
    comment_id  bigint not null,
    sha         text not null,
    by_id       bigint not null,
    by_login    text not null,
    by_type     text not null,
    cause       text not null,
    at          timestamptz not null,
    due_at      timestamptz, -- null for comments, which nothing handles yet
    lease_until timestamptz,
    fence       bigint not null default 0,
    wake        bigint not null default 0,
    attempt     int not null default 0,
    handled_at  timestamptz,
    outcome     text not null default ''
);
create unique index requests_once on requests (repo_id, number, kind, action, comment_id, sha, by_id)
    where handled_at is null;
create index requests_due on requests (due_at) where due_at is not null;

create table rollouts (
    id          text primary key,
    repo_id     bigint not null references repos,
    update_id   bigint references updates,
    commit_sha  text not null,
    state       text not null,
    deploy      jsonb not null,
    plan        jsonb not null default '{}',
    reason      text not null default '',
    actor       text not null default '',
    headline    text not null default '',
    created_at  timestamptz not null,
    started_at  timestamptz,
    ended_at    timestamptz,
    due_at      timestamptz,
    lease_until timestamptz,
    fence       bigint not null default 0,
    wake        bigint not null default 0,
    attempt     int not null default 0,
    unique (repo_id, commit_sha),
    constraint rollouts_state check (state in ('planned', 'running', 'succeeded', 'paused', 'halted',
        'rolling_back', 'rolled_back', 'failed', 'aborted', 'superseded'))
);
create index rollouts_due on rollouts (due_at) where due_at is not null;
create index rollouts_newest on rollouts (repo_id, created_at desc, id desc);
create index rollouts_update on rollouts (update_id) where update_id is not null;

create table hosts (
    id            bigint generated always as identity primary key,
    repo_id       bigint references repos,
    name          text not null unique check (name ~ '^[a-z0-9-]{1,63}$'),
    attr          text not null,
    tags          text[] not null default '{}',
    mode          text not null check (mode in ('fleet', 'manual', 'automatic')),
    token_hash    bytea,
    token_expires timestamptz,
    public_key    text not null default '',
    enrolled_at   timestamptz,
    revoked_at    timestamptz,
    last_seen     timestamptz,
    last_gen      bigint not null default 0,
    facts         jsonb not null default '{}'
) with (fillfactor = 50); -- every heartbeat rewrites the row in place
create unique index hosts_key on hosts (public_key) where public_key <> '';
create index hosts_repo on hosts (repo_id);

create table rollout_hosts (
    rollout_id text not null references rollouts on delete cascade,
    host       text not null,
    position   int not null, -- the plan's order
    wave       int not null,
    state      text not null,
    order_id   text not null default '',
    since      timestamptz,
    started_at timestamptz,
    ended_at   timestamptz,
    failure    jsonb,
    primary key (rollout_id, host),
    constraint rollout_hosts_state check (state in ('waiting', 'ordered', 'received', 'fetching', 'building',
        'switching', 'verifying', 'healthy', 'failed', 'reverted', 'offline', 'deferred', 'excluded', 'cancelled'))
) with (fillfactor = 70);
create index rollout_hosts_host on rollout_hosts (host); -- not on state, so that answers rewrite rows in place

create table orders (
    id          text primary key,
    host        text not null references hosts (name),
    gen         bigint not null,
    kind        text not null,
    rollout_id  text references rollouts,
    repo_id     bigint not null,
    commit_sha  text not null,
    actor       text not null,
    reason      text not null,
    issued_at   timestamptz not null,
    expires_at  timestamptz not null,
    ended_at    timestamptz,
    state       text not null,
    failure     jsonb,
    unique (host, gen),
    constraint orders_state check (state in ('waiting', 'ordered', 'received', 'fetching', 'building',
        'switching', 'verifying', 'healthy', 'failed', 'reverted', 'offline', 'deferred', 'excluded', 'cancelled'))
) with (fillfactor = 70);

create table answers (
    order_id text not null, -- RecordAnswers holds the order's lock: a foreign key would only cost
    seq      bigint not null,
    step     text not null,
    at       timestamptz not null, -- the host's clock
    recorded timestamptz not null, -- ours
    raw      bytea not null,
    primary key (order_id, seq)
);

create table cursors (
    name text primary key,
    seq  bigint not null
);

create table outbox (
    key         text primary key,
    kind        text not null,
    payload     jsonb not null,
    created_at  timestamptz not null,
    due_at      timestamptz not null,
    lease_until timestamptz,
    fence       bigint not null default 0,
    wake        bigint not null default 0,
    attempt     int not null default 0,
    error       text not null default ''
);
create index outbox_due on outbox (due_at);

create table history (
    id      bigint generated always as identity primary key,
    at      timestamptz not null,
    actor   text not null,
    kind    text not null,
    subject text not null,
    detail  jsonb not null,
    reason  text not null
);
create index history_subject on history (subject, id);

create table logins (
    hash       bytea primary key,
    actor      text not null,
    role       text not null,
    expires_at timestamptz not null,
    used_at    timestamptz
);

create table sessions (
    hash       bytea primary key,
    actor      text not null,
    role       text not null,
    expires_at timestamptz not null
);
