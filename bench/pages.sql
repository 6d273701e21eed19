-- What bench/pages.py shows: %(tasks)s tasks, ended within a week before %(now)s. Every tenth owner is the viewer's to see.
-- A line `-- fills x` above a statement names the table that it fills from empty, whose indexes are made afterwards.

-- fills rm.users
insert into rm.users (uuid, name, is_admin, is_active)
select 'owner-' || n, 'owner' || n, false, true from generate_series(0, 199) n
union all select %(admin)s, 'admin', true, true union all select %(viewer)s, 'viewer', false, true;

-- fills rm.grants
insert into rm.grants (subject, object) select %(viewer)s, 'owner-' || n from generate_series(0, 199, 10) n;

-- Job 0 has a tenth of all tasks, the others a hundred each. One task in twenty is the same work, in all jobs.
create temporary table t as
select
    n, x.job, x.rank, %(now)s - 1000 - (%(tasks)s - n)::bigint * 604800000 / %(tasks)s as at,
    case when n > %(tasks)s * 0.998 then 'running' when n %% 97 = 0 then 'failed' when n %% 3 = 0 then 'complete' else 'copied' end as state,
    case when n %% 20 = 10 then -1 else n / 20 * 3 %% (%(tasks)s / 10 + 7) end as print,
    'job-' || x.job as root, 'task-' || x.job || '-' || x.rank as task, 'owner-' || x.job %% 200 as owner
from generate_series(0, %(tasks)s - 1) n
cross join lateral (
    select
        case when n < %(tasks)s / 10 then 0 else (n - %(tasks)s / 10) / 100 + 1 end as job,
        case when n < %(tasks)s / 10 then n else (n - %(tasks)s / 10) %% 100 end as rank
) x;

-- fills rm.jobs
insert into rm.jobs (root, owner, name, spec, state, created_at, started_at, finished_at)
select
    root, min(owner), 'panel ' || job, '{}',
    case when bool_or(state = 'running') then 'running' when bool_or(state = 'failed') then 'failed' else 'complete' end,
    min(at), min(at), case when not bool_or(state = 'running') then max(at) end
from t group by job, root;

-- fills rm.job_tasks
insert into rm.job_tasks (
    root, task, created_by, sequence, qsequence, name, spec, bound, fingerprint, is_pure, state, token, source, output,
    created_at, started_at, finished_at, source_started_at, source_finished_at, attempt, running_token, waiting_on, waiting_kind,
    waiting_since
)
select
    root, task, case when rank > 0 then 'task-' || job || '-0' else '' end, least(rank, 1), rank, 'align sample ' || n,
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

-- fills rm.job_log
insert into rm.job_log (root, position, said_at, kind, task, token, other)
select
    t.root, t.n * 2 + l.line, t.at + l.line * 900, case when l.line = 0 then 'granted' else 'task_' || t.state end, t.task,
    'token-' || t.print, case when t.state = 'copied' then 'task-' || t.job || '-0' else '' end
from t cross join (values (0), (1)) l (line)
where l.line = 0 and t.state <> 'copied' or l.line = 1 and t.state <> 'running';

-- fills rm.tasks
insert into rm.tasks (
    token, fingerprint, owner, task, root, status, node, runner, output, granted_at, running_at, ended_at, node_started_at,
    node_finished_at
)
select 'token-' || print, 'fingerprint-' || print, owner, task, root, 'done', 'n1', 'bubblewrap', md5(print::text) || '+53', at, at, at, at, at + 900
from (select distinct on (print) * from t where state <> 'running' order by print, n) t
union all
select 'token-run-' || n, 'fingerprint-run-' || n, owner, task, root, 'running', 'n1', 'bubblewrap', '', at, at, null, 0, 0
from t where state = 'running'
union all
select 'token-other-' || n, 'fingerprint-' || n * 3, 'owner-0', '', '', 'done', '', '', 'other+1', %(now)s, null, null, 0, 0
from generate_series(0, 999) n;

-- fills rm.disagreements
insert into rm.disagreements (earlier, later, fingerprint, earlier_output, later_output, told_at)
select 'token-' || n * 3, 'token-other-' || n, 'fingerprint-' || n * 3, 'one+1', 'other+1', %(now)s from generate_series(0, 999) n;

-- fills rm.claims
insert into rm.claims (fingerprint, quarantined, reason, changed_at)
select 'fingerprint-' || n * 3, true, 'odd', %(now)s from generate_series(0, 999, 2) n;

-- fills rm.hours
insert into rm.hours (root, hour, created, executed, copied, failed, cancelled, saved, spent)
select
    root, at / 3600000 * 3600000, count(*), count(*) filter (where state = 'complete'), count(*) filter (where state = 'copied'),
    count(*) filter (where state = 'failed'), 0, 60000 * count(*) filter (where state = 'copied'), 900 * count(*) filter (where state = 'complete')
from t group by 1, 2
