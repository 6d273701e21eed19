-- What facts do to the tables. Each statement takes a JSON array of rows, any number of them, each about another row of
-- the table; `as f (...)` says which fields of a fact, and of its place, it reads (readmodel/projection.py).

-- name: job_described
insert into rm.jobs (root, owner, name, spec, created_at)
select f.root, f.owner, f.name, f.spec, f.time
from json_to_recordset(%s::json) as f (root text, owner text, name text, spec text, time bigint)
on conflict (root) do update set
    owner = excluded.owner, name = excluded.name, spec = excluded.spec, created_at = excluded.created_at

-- name: job_changed
insert into rm.jobs (
    root, state, is_imported, output, log, reason, failed_task, detail, task_count, started_at, finished_at
)
select
    f.root, f.state, f.state = 'importing', f.output, f.log, f.reason, f.task, f.detail, f.tasks,
    case when f.state = 'running' then f.time when f.started_at > 0 then f.started_at end,
    case when f.state in ('complete', 'failed', 'cancelled') then f.time end
from json_to_recordset(%s::json) as f (
    root text, state text, output text, log text, reason text, task text, detail text, tasks bigint, started_at bigint,
    time bigint
)
on conflict (root) do update set
    state = excluded.state,
    is_imported = jobs.is_imported or excluded.is_imported,
    output = excluded.output,
    log = excluded.log,
    reason = excluded.reason,
    failed_task = excluded.failed_task,
    detail = excluded.detail,
    task_count = greatest(jobs.task_count, excluded.task_count),
    started_at = coalesce(jobs.started_at, excluded.started_at),
    finished_at = coalesce(jobs.finished_at, excluded.finished_at)

-- name: priority_changed
insert into rm.jobs (root, priority)
select f.root, f.priority
from json_to_recordset(%s::json) as f (root text, priority bigint)
on conflict (root) do update set priority = excluded.priority

-- name: task_described
-- A task's first fact: what it is. It is queued then, as a row that begins is; if not, `task_changed` says so next.
insert into rm.job_tasks as t (
    root, task, created_by, sequence, qsequence, name, spec, bound, is_pure, fingerprint, ineligible, created_at
)
select
    f.root, f.task, f.created_by, f.sequence, f.qsequence, f.name, f.spec, f.bound, f.is_pure, f.fingerprint, f.ineligible,
    f.time
from json_to_recordset(%s::json) as f (
    root text, task text, created_by text, sequence bigint, qsequence bigint, name text, spec text, bound text,
    is_pure boolean, fingerprint text, ineligible text, time bigint
)
on conflict (root, task) do update set
    created_by = excluded.created_by, sequence = excluded.sequence, qsequence = excluded.qsequence,
    name = excluded.name, spec = excluded.spec, bound = excluded.bound, is_pure = excluded.is_pure,
    fingerprint = coalesce(nullif(excluded.fingerprint, ''), t.fingerprint),
    ineligible = coalesce(nullif(excluded.ineligible, ''), t.ineligible), created_at = excluded.created_at

-- name: purity_changed
insert into rm.job_tasks (root, task, is_pure)
select f.root, f.task, f.is_pure
from json_to_recordset(%s::json) as f (root text, task text, is_pure boolean)
on conflict (root, task) do update set is_pure = excluded.is_pure

-- name: task_changed
insert into rm.job_tasks as t (
    root, task, state, fingerprint, ineligible, token, source, output, log, children, progress, reason, failure,
    exit_code, detail, source_started_at, source_finished_at, started_at, finished_at
)
select
    f.root, f.task, f.state, f.fingerprint, f.ineligible, f.token, f.source, f.output, f.log, f.children, f.progress,
    f.reason, f.failure, f.exit_code, f.detail, case when f.at = 0 then f.started_at else 0 end,
    case when f.at = 0 then f.finished_at else 0 end,
    case when f.state in ('running', 'copied') then f.time when f.at > 0 and f.started_at > 0 then f.started_at end,
    case when f.state in ('complete', 'copied', 'failed', 'cancelled') then f.time end
from json_to_recordset(%s::json) as f (
    root text, task text, state text, fingerprint text, ineligible text, token text, source text, output text, log text,
    children bigint, progress bigint, reason text, failure text, exit_code bigint, detail text, started_at bigint,
    finished_at bigint, at bigint, time bigint
)
on conflict (root, task) do update set
    state = excluded.state,
    fingerprint = coalesce(nullif(excluded.fingerprint, ''), t.fingerprint),
    ineligible = coalesce(nullif(excluded.ineligible, ''), t.ineligible),
    token = coalesce(nullif(excluded.token, ''), t.token),
    source = coalesce(nullif(excluded.source, ''), t.source),
    output = coalesce(nullif(excluded.output, ''), t.output),
    log = coalesce(nullif(excluded.log, ''), t.log),
    children = greatest(t.children, excluded.children),
    progress = case when excluded.state = 'running' then excluded.progress else t.progress end,
    reason = coalesce(nullif(excluded.reason, ''), t.reason),
    failure = coalesce(nullif(excluded.failure, ''), t.failure),
    exit_code = coalesce(nullif(excluded.exit_code, -1), t.exit_code),
    detail = coalesce(nullif(excluded.detail, ''), t.detail),
    source_started_at = greatest(t.source_started_at, excluded.source_started_at),
    source_finished_at = greatest(t.source_finished_at, excluded.source_finished_at),
    started_at = coalesce(t.started_at, excluded.started_at),
    finished_at = coalesce(t.finished_at, excluded.finished_at)

-- name: task_reads
insert into rm.reads (content, root, task)
select c, f.root, f.task
from json_to_recordset(%s::json) as f (root text, task text, spec text, bound text)
cross join lateral rm.contents_of(f.spec, f.bound) c

-- name: task_found_alike
-- After the task's last state: what other work of its owner, and of who may see that, is compared with. All keys of a work
-- are written at once: whoever did it before has them all.
insert into rm.alike as a (key, owner, work, ended_at, root, task)
select k.key, w.owner, w.work, w.time, w.root, w.task
from (
    select distinct on (j.owner, rm.work_of(t.fingerprint))
        j.owner, rm.work_of(t.fingerprint) as work, t.spec, t.bound, f.time, f.root, f.task
    from json_to_recordset(%s::json) as f (root text, task text, time bigint)
    join rm.job_tasks t using (root, task)
    join rm.jobs j using (root)
    where t.is_pure and t.spec is not null and not starts_with(t.fingerprint, 'impure:')
    order by j.owner, rm.work_of(t.fingerprint), f.time, f.root, f.task
) w
cross join lateral rm.alike_keys(w.spec, w.bound) k
where not exists (
    select from rm.alike b
    where b.owner = w.owner and b.work = w.work and (b.ended_at, b.root, b.task) <= (w.time, w.root, w.task)
)
order by w.owner, w.work, k.key
on conflict (key, owner, work) do update set ended_at = excluded.ended_at, root = excluded.root, task = excluded.task
where (a.ended_at, a.root, a.task) > (excluded.ended_at, excluded.root, excluded.task)

-- name: task_decided
insert into rm.job_tasks as t (
    root, task, decision, why, decided_at, attempt, running_token, waiting_on, waiting_kind, waiting_since, waited
)
select
    f.root, f.task, f.decision, f.why, f.time, f.attempt, f.running_token, f.waiting_on, f.waiting_kind,
    case when f.waiting_on <> '' then f.time end, f.waited
from json_to_recordset(%s::json) as f (
    root text, task text, decision text, why text, attempt bigint, running_token text, waiting_on text,
    waiting_kind text, waited boolean, time bigint
)
on conflict (root, task) do update set
    decision = excluded.decision,
    why = excluded.why,
    decided_at = excluded.decided_at,
    attempt = greatest(t.attempt, excluded.attempt),
    running_token = excluded.running_token,
    waiting_on = excluded.waiting_on,
    waiting_kind = excluded.waiting_kind,
    waiting_since = excluded.waiting_since,
    waited = t.waited or excluded.waited

-- name: execution_granted
insert into rm.tasks (token, fingerprint, grantee, attempt, replaces, why, granted_at)
select f.token, f.fingerprint, f.owner, f.attempt, f.replaces, f.why, f.time
from json_to_recordset(%s::json) as f (
    token text, fingerprint text, owner text, attempt bigint, replaces text, why text, time bigint
)
on conflict (token) do update set
    grantee = excluded.grantee,
    attempt = excluded.attempt, replaces = excluded.replaces, why = excluded.why, granted_at = excluded.granted_at

-- name: execution_held
insert into rm.tasks (token, fingerprint, owner, task, root, held_offset, held_index)
select f.token, f.fingerprint, f.owner, f.task, f.root, f.cause_offset, f.cause_index
from json_to_recordset(%s::json) as f (
    token text, fingerprint text, owner text, task text, root text, cause_offset bigint, cause_index bigint
)
on conflict (token) do update set
    owner = excluded.owner, task = excluded.task, root = excluded.root,
    held_offset = excluded.held_offset, held_index = excluded.held_index
where (tasks.held_offset, tasks.held_index) < (excluded.held_offset, excluded.held_index)

-- name: execution_changed
insert into rm.tasks as t (
    token, fingerprint, status, is_impure, node, incarnation, runner, environment, exit_code, failure, detail, output,
    log, progress, access, node_started_at, node_finished_at, running_at, ended_at
)
select
    f.token, f.fingerprint, case when f.status = 'impure' then 'granted' else f.status end, f.status = 'impure', f.node,
    f.incarnation, f.runner, f.environment, f.exit_code, f.failure, f.detail, f.output, f.log, f.progress, f.access,
    f.started_at, f.finished_at,
    case when f.status = 'running' then f.time end,
    case when f.status not in ('granted', 'running', 'impure') then f.time end
from json_to_recordset(%s::json) as f (
    token text, fingerprint text, status text, node text, incarnation text, runner text, environment text,
    exit_code bigint, failure text, detail text, output text, log text, progress bigint, access text, started_at bigint,
    finished_at bigint, time bigint
)
on conflict (token) do update set
    -- Losing its purity ends an entry, but no execution: that one goes on for its own task.
    status = case when not excluded.is_impure then excluded.status when t.status = 'done' then 'impure' else t.status end,
    is_impure = t.is_impure or excluded.is_impure,
    node = coalesce(nullif(excluded.node, ''), t.node),
    incarnation = coalesce(nullif(excluded.incarnation, ''), t.incarnation),
    runner = coalesce(nullif(excluded.runner, ''), t.runner),
    environment = coalesce(nullif(excluded.environment, ''), t.environment),
    exit_code = coalesce(nullif(excluded.exit_code, -1), t.exit_code),
    failure = coalesce(nullif(excluded.failure, ''), t.failure),
    detail = coalesce(nullif(excluded.detail, ''), t.detail),
    output = coalesce(nullif(excluded.output, ''), t.output),
    log = coalesce(nullif(excluded.log, ''), t.log),
    progress = greatest(t.progress, excluded.progress),
    access = coalesce(nullif(excluded.access, ''), t.access),
    node_started_at = coalesce(nullif(excluded.node_started_at, 0), t.node_started_at),
    node_finished_at = coalesce(nullif(excluded.node_finished_at, 0), t.node_finished_at),
    running_at = coalesce(t.running_at, excluded.running_at),
    ended_at = coalesce(t.ended_at, excluded.ended_at)

-- name: disagreed
insert into rm.disagreements (earlier, later, fingerprint, earlier_output, later_output, told_at)
select f.earlier, f.later, f.fingerprint, f.earlier_output, f.later_output, f.time
from json_to_recordset(%s::json) as f (
    earlier text, later text, fingerprint text, earlier_output text, later_output text, time bigint
)
on conflict (earlier, later) do nothing

-- name: kept
-- What was told before is no word against this execution any more.
update rm.disagreements d set kept_at = f.time
from json_to_recordset(%s::json) as f (token text, time bigint)
where d.later = f.token and d.kept_at is null and d.told_at <= f.time

-- name: doubled
insert into rm.doubled (token, fingerprint, beside, live, told_at)
select f.token, f.fingerprint, f.beside, f.live, f.time
from json_to_recordset(%s::json) as f (token text, fingerprint text, beside text[], live bigint, time bigint)
on conflict (token) do nothing

-- name: claim_changed
insert into rm.claims (fingerprint, quarantined, reason, changed_at)
select f.fingerprint, f.quarantined, f.reason, f.time
from json_to_recordset(%s::json) as f (fingerprint text, quarantined boolean, reason text, time bigint)
on conflict (fingerprint) do update set
    quarantined = excluded.quarantined, reason = excluded.reason, changed_at = excluded.changed_at

-- name: answered
insert into rm.answers (log_id, command_offset, outcome, reason, about, detail, answered_at, partition, position)
select f.cause_log_id, f.cause_offset, f.outcome, f.reason, f.about, f.detail, f.time, f.partition, f.position
from json_to_recordset(%s::json) as f (
    cause_log_id text, cause_offset bigint, outcome text, reason text, about text, detail text, time bigint,
    partition integer, position bigint
)

-- name: said
insert into rm.job_log (root, position, said_at, kind, task, token, other, number, detail)
select f.root, f.position, f.time, f.kind, f.task, f.token, f.other, f.number, f.detail
from json_to_recordset(%s::json) as f (
    root text, position bigint, time bigint, kind text, task text, token text, other text, number bigint, detail text
)

-- name: user_set
insert into rm.users (uuid, name, is_admin, is_active)
select f."user", f.name, f.is_admin, f.is_active
from json_to_recordset(%s::json) as f ("user" text, name text, is_admin boolean, is_active boolean)
on conflict (uuid) do update set
    name = excluded.name, is_admin = excluded.is_admin, is_active = excluded.is_active

-- name: group_set
insert into rm.groups (uuid, name, owner)
select f."group", f.name, f.owner
from json_to_recordset(%s::json) as f ("group" text, name text, owner text)
on conflict (uuid) do update set name = excluded.name, owner = excluded.owner

-- name: grant_set
insert into rm.grants (subject, object)
select f.subject, f.object
from json_to_recordset(%s::json) as f (subject text, object text)
on conflict do nothing

-- name: grant_removed
delete from rm.grants g
using json_to_recordset(%s::json) as f (subject text, object text)
where g.subject = f.subject and g.object = f.object

-- name: number_set
insert into rm.settings (name, value)
select f.name, f.value
from json_to_recordset(%s::json) as f (name text, value bigint)
on conflict (name) do update set value = excluded.value

-- name: rules_set
insert into rm.rules (version, since)
select f.version, f.time
from json_to_recordset(%s::json) as f (version bigint, time bigint)
on conflict (version) do nothing

-- name: pure_assumed
insert into rm.assumed_pure (repository, script, commits)
select f.repository, f.script, f.commits
from json_to_recordset(%s::json) as f (repository text, script text, commits text[])
on conflict (repository, script) do update set commits = excluded.commits

-- name: counted
-- Facts of one job and hour are added up, here and onto what was counted before. What a copy saved is by its source's
-- node's clock; what an execution took, from its first start to its end, by the log's.
insert into rm.hours as h (root, hour, created, executed, copied, failed, cancelled, saved, spent)
select
    f.root, f.time / 3600000 * 3600000, sum(f.created), count(*) filter (where f.state = 'complete'),
    count(*) filter (where f.state = 'copied'), count(*) filter (where f.state = 'failed'),
    count(*) filter (where f.state = 'cancelled'),
    coalesce(sum(greatest(f.finished_at - f.started_at, 0)) filter (where f.state = 'copied'), 0),
    coalesce(sum(greatest(f.time - t.started_at, 0)) filter (where f.state = 'complete'), 0)
from json_to_recordset(%s::json) as f (
    root text, task text, state text, created bigint, started_at bigint, finished_at bigint, time bigint
)
join rm.job_tasks t using (root, task)
group by 1, 2
on conflict (root, hour) do update set
    created = h.created + excluded.created, executed = h.executed + excluded.executed,
    copied = h.copied + excluded.copied, failed = h.failed + excluded.failed,
    cancelled = h.cancelled + excluded.cancelled, saved = h.saved + excluded.saved, spent = h.spent + excluded.spent
