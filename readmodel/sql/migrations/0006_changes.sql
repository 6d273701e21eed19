-- A job's tasks as they are listed: changed last comes first. Made by Postgres from what the facts said.
alter table rm.job_tasks
    add column changed_at bigint generated always as (greatest(created_at, started_at, finished_at)) stored;
create index job_tasks_by_change on rm.job_tasks (root, changed_at desc, task) where created_at is not null;
