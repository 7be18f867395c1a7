-- The hosts' side: rollouts that go back, orders of every kind, what hosts can go back
-- to, what commits evaluate to, the output of orders, commits that proved bad.

-- +goose Up

-- A program that knows no restores would deploy what a rollout is to take back, and
-- one that knows no quarantine would spread it.
update compatibility set oldest_reader = 3;

-- One rollout of its own accord for each commit; people may ask for more.
alter table rollouts
    add kind text not null default 'deploy' check (kind in ('deploy', 'backward', 'restore')),
    add by_person boolean not null default false,
    add restores text references rollouts,
    add request text not null default '', -- names a person's wish, so that a second click is the same one
    add only_hosts text[],                -- of what deploy picks, only these take part
    add force boolean not null default false,
    add revert jsonb not null default '{}', -- what became of the pull request that takes its commit back
    drop constraint rollouts_repo_id_commit_sha_key;
create unique index rollouts_once on rollouts (repo_id, commit_sha) where kind = 'deploy' and not by_person;
create index rollouts_request on rollouts (repo_id, request) where request <> '';
create index rollouts_commit on rollouts (repo_id, commit_sha, created_at desc);
create unique index rollouts_restore on rollouts (restores)
    where restores is not null and state in ('planned', 'running', 'paused', 'halted', 'rolling_back');

alter table rollout_hosts
    add before jsonb not null default '{}', -- what ran when it was given its order: path and commit
    add target jsonb not null default '{}', -- what it is to run in the end
    add switched boolean not null default false,
    add note text not null default '';
-- What goes on meanwhile can still go back, where it is known to what.
update rollout_hosts p set before = jsonb_build_object('path', h.facts->>'running_path', 'commit', coalesce(h.facts->>'running_commit', ''))
    from hosts h where h.name = p.host and p.state in ('ordered', 'received', 'fetching', 'building') and h.facts->>'running_path' <> '';

-- A commit that a rollout showed to be bad. Nothing brings it to further hosts by
-- itself until a person lifts that.
create table quarantine (
    repo_id    bigint not null references repos on delete cascade,
    commit_sha text not null,
    rollout_id text not null references rollouts,
    reason     text not null,
    at         timestamptz not null,
    lifted_by  text not null default '',
    lifted_at  timestamptz,
    primary key (repo_id, commit_sha)
);

alter table orders
    add detail jsonb not null default '{}',
    add change jsonb, -- what it does to the system, from the host's answers
    add note text not null default '',
    add received_at timestamptz; -- the first answer to it; until then the host may not know of it
update orders o set received_at = (select min(recorded) from answers a where a.order_id = o.id);
create index orders_open on orders (host, gen) where ended_at is null;
create index orders_expiry on orders (expires_at) where ended_at is null;
create index orders_of_host on orders (host, issued_at desc);
create index orders_deploys on orders (host, commit_sha, gen) where kind = 'deploy'; -- whether a host was given a commit

alter table hosts
    add generations jsonb not null default '[]',
    add curve_key text not null default '', -- public x25519 key, for what only the host may read
    add next_key text not null default ''; -- public key that the host is about to change to
create unique index hosts_next_key on hosts (next_key) where next_key <> '';

-- Keys whose certificates the bus has to refuse, for as long as one may be valid.
create table revoked_keys (
    public_key text primary key,
    host       text not null,
    at         timestamptz not null
);

-- Requests for orders that carried a key: the same key again means the same orders.
create table order_requests (
    actor  text not null,
    key    text not null,
    sum    text not null, -- of what was asked for
    orders text[] not null,
    at     timestamptz not null,
    primary key (actor, key)
);
create index order_requests_at on order_requests (at);

-- What a commit comes to for an attribute, from whoever evaluated it first.
create table evaluations (
    repo_id    bigint not null references repos on delete cascade,
    commit_sha text not null,
    attr       text not null,
    path       text not null default '',
    error      text not null default '',
    by_host    text not null,
    at         timestamptz not null,
    primary key (repo_id, commit_sha, attr)
);

-- Evaluations that were asked of an evaluator and have not come back.
create table evaluating (
    repo_id    bigint not null references repos on delete cascade,
    commit_sha text not null,
    attr       text not null,
    host       text not null,
    order_id   text not null,
    until      timestamptz not null,
    attempt    int not null, -- how often it was asked for
    primary key (repo_id, commit_sha, attr)
);
create index hosts_evaluators on hosts (repo_id) where 'evaluator' = any(tags);

-- The output of orders. One grows at its end only: what does not follow what is
-- recorded is asked for again.
create table order_outputs (
    order_id text primary key,
    bytes    bigint not null default 0, -- that the host printed and that are recorded
    whole    boolean not null default false, -- nothing more comes
    at       timestamptz not null -- when it last grew
);
create index order_outputs_at on order_outputs (at);

create table order_logs (
    order_id text not null references order_outputs on delete cascade,
    at_byte  bigint not null, -- offset of the first byte in the order's output
    bytes    int not null,    -- that the host printed
    step     text not null,
    at       timestamptz not null,
    text     bytea not null,  -- what is left of them for people, compressed
    primary key (order_id, at_byte)
);
