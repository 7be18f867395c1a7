-- The GitHub side: who an author's name belongs to, when an input's revision was
-- first seen, settings of repositories without a policy file, the App's own
-- credentials, what was written to GitHub and when, locks made on hosts.

-- +goose Up

-- A policy names authors by login; a login can change hands, an id can't. The name
-- is resolved when it first appears in the policy, and forgotten when it leaves it.
create table accounts (
    repo_id     bigint not null references repos on delete cascade,
    login       text not null,
    account_id  bigint not null,
    type        text not null,
    resolved_at timestamptz not null,
    primary key (repo_id, login)
);

-- When any lock first showed us a revision of an input. A commit's own dates are
-- its author's choice; this one is ours.
create table input_sightings (
    input   text not null, -- the input's URL without its revision, e.g. github:NixOS/nixpkgs
    rev     text not null,
    seen_at timestamptz not null,
    primary key (input, rev)
);

-- The policy of a repository that has no policy file: the same YAML.
create table settings (
    repo_id    bigint primary key references repos on delete cascade,
    policy     text not null,
    changed_by text not null,
    changed_at timestamptz not null
);

-- The GitHub App that the set-up wizard created. There is one; sealed holds its
-- private key and secrets, encrypted with a key that is not in the database.
create table github_app (
    one        boolean primary key default true check (one),
    app_id     bigint not null,
    slug       text not null,
    html_url   text not null,
    client_id  text not null,
    sealed     bytea not null,
    created_at timestamptz not null
);

-- A visit to GitHub's page for new Apps that has not come back yet. Only who was
-- sent there may bring back its code, and once.
create table setup_visits (
    hash       bytea primary key, -- SHA-256 of the state parameter
    actor      text not null,
    expires_at timestamptz not null
);

-- GitHub's name of a delivery alone finds it, whichever hook brought it.
create index inbox_guid on inbox (guid);

-- The update as GitHub's list of open pull requests showed it last: what shows the
-- same again needs no look.
alter table updates add listed text not null default '';

-- When comment and check run were last written, so that edits keep their distance.
alter table updates add comment_at timestamptz, add check_at timestamptz;

-- What became of the last command in a comment, shown in ours.
alter table updates add answer jsonb;

-- Comments become requests as button presses are; which command it is stands in
-- the comment, which is read from GitHub.
update requests set handled_at = at, outcome = 'void: it was written before commands were understood'
    where kind = 'commented' and handled_at is null;

-- GitHub's deployment of a rollout, and the state of the rollout that it shows.
create table deployments (
    rollout_id text primary key references rollouts on delete cascade,
    github_id  bigint not null,
    state      text not null default '',
    written_at timestamptz not null
);

-- Locks that hosts made (updates.strategy: host), on their way to a commit.
create table lock_proposals (
    id          text primary key, -- a ULID
    source      text not null unique, -- what it came from, once: the id of a host's order, or its own id
    repo_id     bigint not null references repos,
    host        text not null,
    actor       text not null,
    reason      text not null, -- in the words of who asked
    path        text not null,
    base_sha    text not null, -- the commit that the lock was made from
    inputs      text[] not null,
    as_pull     boolean not null, -- asked for; the verdict says what it comes to
    lock        bytea not null, -- empty once it ended
    lock_sum    bytea not null, -- SHA-256 of it
    state       text not null,
    verdict     jsonb not null default '{}',
    found       text not null default '',
    commit_sha  text not null default '', -- stored before any branch points to it
    number      int not null default 0, -- of the pull request, where one was opened
    created_at  timestamptz not null,
    ended_at    timestamptz,
    due_at      timestamptz,
    lease_until timestamptz,
    fence       bigint not null default 0,
    attempt     int not null default 0,
    constraint lock_proposals_state check (state in ('received', 'proven', 'committed', 'opened', 'refused', 'conflicted'))
);
create index lock_proposals_due on lock_proposals (due_at) where due_at is not null;
create index lock_proposals_repo on lock_proposals (repo_id, created_at desc);
create index lock_proposals_commit on lock_proposals (repo_id, commit_sha) where commit_sha <> '';
