-- The history as people read it: found by what it is about, and never rewritten. And
-- what finds the rows that have no use any more.

-- +goose Up

-- How a person did it: page, api, comment, check, command line. Empty: nobody did.
alter table history add way text not null default '';

-- What a line is about, taken from what every writer of it stores anyway.
alter table history
    add host text generated always as (coalesce(nullif(detail->>'host', ''),
        case when subject like 'host/%' then substr(subject, 6) when actor like 'host:%' then substr(actor, 6) end)) stored,
    add rollout_id text generated always as (coalesce(nullif(detail->>'rollout', ''),
        case when subject like 'rollout/%' then substr(subject, 9) end)) stored,
    add update_id bigint generated always as (
        case when subject ~ '^update/[0-9]{1,18}$' then substr(subject, 8)::bigint end) stored,
    add repo_id bigint generated always as (
        case when detail->>'repo_id' ~ '^[0-9]{1,18}$' then (detail->>'repo_id')::bigint
            when subject ~ '^repo:[0-9]{1,18}$' then substr(subject, 6)::bigint end) stored;

create index history_actor on history (actor, id);
create index history_kind on history (kind text_pattern_ops, id);
create index history_host on history (host, id) where host is not null;
create index history_rollout on history (rollout_id, id) where rollout_id is not null;
create index history_update on history (update_id, id) where update_id is not null;
create index history_at on history (at);

-- A line that was written stays as it is. Lines may be forgotten once they are old,
-- in a transaction that says so; what is younger than 90 days can't be.
-- +goose StatementBegin
create function history_stays() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' and current_setting('nixfleet.forget_history', true) = 'on' and old.at < now() - interval '90 days' then
        return old;
    end if;
    raise exception 'the history is only added to' using errcode = 'restrict_violation';
end $$;
-- +goose StatementEnd
create trigger history_kept before delete on history for each row execute function history_stays();
create trigger history_written before update or truncate on history for each statement execute function history_stays();

-- What is forgotten after a while, by age.
create index answers_recorded on answers (recorded);
create index orders_ended on orders (ended_at) where ended_at is not null;
create index requests_handled on requests (handled_at) where handled_at is not null;
