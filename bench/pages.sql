-- What bench/pages.py shows: %(tasks)s tasks, ended within a week before %(now)s. Every tenth owner is the viewer's to see.
insert into rm.users (uuid, name, is_admin, is_active)
select 'owner-' || n, 'owner' || n, false, true from generate_series(0, 199) n
union all select %(admin)s, 'admin', true, true union all select %(viewer)s, 'viewer', false, true;

insert into rm.grants (subject, object) select %(viewer)s, 'owner-' || n from generate_series(0, 199, 10) n;

-- Job 0 has a tenth of all tasks, the others a hundred each.
create temporary table t as
select
    n, case when n < %(tasks)s / 10 then 0 else (n - %(tasks)s / 10) / 100 + 1 end as job,
    case when n < %(tasks)s / 10 then n else (n - %(tasks)s / 10) %% 100 end as rank,
    %(now)s - 1000 - (%(tasks)s - n)::bigint * 604800000 / %(tasks)s as at,
    case when n > %(tasks)s * 0.998 then 'running' when n %% 97 = 0 then 'failed' when n %% 3 = 0 then 'complete' else 'copied' end as state,
    n / 20 * 3 %% (%(tasks)s / 10 + 7) as print
from generate_series(0, %(tasks)s - 1) n;

insert into rm.jobs (root, owner, name, spec, state, created_at, started_at, finished_at)
select
    'job-' || job, 'owner-' || job %% 200, 'panel ' || job, '{}',
    case when bool_or(state = 'running') then 'running' when bool_or(state = 'failed') then 'failed' else 'complete' end,
    min(at), min(at), case when not bool_or(state = 'running') then max(at) end
from t group by job;

insert into rm.job_tasks (
    root, task, created_by, sequence, qsequence, name, spec, bound, fingerprint, is_pure, state, token, source, output,
    created_at, started_at, finished_at, source_started_at, source_finished_at, attempt, running_token, waiting_on, waiting_kind,
    waiting_since
)
select
    'job-' || job, 'task-' || job || '-' || rank, case when rank > 0 then 'task-' || job || '-0' else '' end, least(rank, 1), rank,
    'align sample ' || n,
    format(
        '{"components":{"commit":"%%1$s","script":"%%1$s","image":"%%1$s","parameters":"%%2$s","inputs":"%%1$s","outputs":"%%1$s"},'
        '"script":"align.py","is_pure":true}',
        repeat('c', 64), repeat(md5(print::text), 2)
    ),
    '{"reference":"hg38"}', 'fingerprint-' || print, true, state,
    case when state in ('complete', 'copied') then 'token-' || print else '' end,
    case when state = 'copied' then 'task-' || job || '-0' else '' end,
    case when state in ('complete', 'copied') then md5(print::text) || '+53' else '' end,
    at, at, case when state <> 'running' then at + 900 end, case when state = 'copied' then at - 60000 else 0 end,
    case when state = 'copied' then at else 0 end, 1,
    case when state = 'running' then 'token-run-' || n else '' end,
    case when state = 'running' and n %% 2 = 0 then 'token-run-' || n - 1 else '' end,
    case when state = 'running' and n %% 2 = 0 then 'execution' else '' end,
    case when state = 'running' and n %% 2 = 0 then at end
from t;

insert into rm.tasks (
    token, fingerprint, owner, task, root, status, node, runner, output, granted_at, running_at, ended_at, node_started_at,
    node_finished_at
)
select distinct on (print)
    'token-' || print, 'fingerprint-' || print, 'owner-' || job %% 200, 'task-' || job || '-' || rank, 'job-' || job, 'done', 'n1',
    'bubblewrap', md5(print::text) || '+53', at, at, at, at, at + 900
from t where state <> 'running' order by print, n;

insert into rm.tasks (token, fingerprint, owner, task, root, status, node, runner, granted_at, running_at)
select
    'token-run-' || n, 'fingerprint-run-' || n, 'owner-' || job %% 200, 'task-' || job || '-' || rank, 'job-' || job, 'running', 'n1',
    'bubblewrap', at, at
from t where state = 'running';

insert into rm.tasks (token, fingerprint, owner, status, output, granted_at)
select 'token-other-' || n, 'fingerprint-' || n * 3, 'owner-0', 'done', 'other+1', %(now)s from generate_series(0, 19) n;

insert into rm.disagreements (earlier, later, fingerprint, earlier_output, later_output, told_at)
select 'token-' || n * 3, 'token-other-' || n, 'fingerprint-' || n * 3, 'one+1', 'other+1', %(now)s from generate_series(0, 19) n;

insert into rm.hours (root, hour, created, executed, copied, failed, cancelled, saved, spent)
select
    'job-' || job, at / 3600000 * 3600000, count(*), count(*) filter (where state = 'complete'), count(*) filter (where state = 'copied'),
    count(*) filter (where state = 'failed'), 0, 60000 * count(*) filter (where state = 'copied'), 900 * count(*) filter (where state = 'complete')
from t group by 1, 2
