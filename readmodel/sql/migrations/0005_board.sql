-- What pages ask for often, without reading all tasks: what of each job was created and ended in each hour.
-- `hour`: its first millisecond since 1970. `saved`, `spent`: ms of execution, by the nodes' clocks.
create table rm.hours (
    root text not null,
    hour bigint not null,
    created bigint not null,
    executed bigint not null,
    copied bigint not null,
    failed bigint not null,
    cancelled bigint not null,
    saved bigint not null,
    spent bigint not null,
    primary key (root, hour)
) with (fillfactor = 70);
create index hours_by_hour on rm.hours (hour);

insert into rm.hours (root, hour, created, executed, copied, failed, cancelled, saved, spent)
select
    x.root, x.at / 3600000 * 3600000, sum(x.created), count(*) filter (where x.state = 'complete'),
    count(*) filter (where x.state = 'copied'), count(*) filter (where x.state = 'failed'),
    count(*) filter (where x.state = 'cancelled'), coalesce(sum(x.took) filter (where x.state = 'copied'), 0),
    coalesce(sum(x.took) filter (where x.state = 'complete'), 0)
from (
    select t.root, t.created_at as at, 1 as created, '' as state, 0::bigint as took
    from rm.job_tasks t where t.created_at is not null
    union all
    select
        t.root, t.finished_at, 0, t.state,
        greatest(case when t.state = 'copied' then t.source_finished_at - t.source_started_at else t.finished_at - t.started_at end, 0)
    from rm.job_tasks t where t.finished_at is not null
) x
group by 1, 2;

create index tasks_in_flight on rm.tasks (granted_at, token) where status in ('granted', 'running');
create index job_tasks_waiting on rm.job_tasks (waiting_on) where waiting_on <> '';
create index job_tasks_copied on rm.job_tasks (finished_at desc) where state = 'copied';

-- Append time of the last fact that was projected: how old what is shown may be.
alter table rm.applied add column as_of bigint not null default 0;
