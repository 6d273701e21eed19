-- What each fact does to the tables. Parameters are the fact's own fields, and of its place: partition, position
-- (its offset), time (append time), cause_offset and cause_index.

-- name: job_described
insert into rm.jobs (root, owner, name, spec, created_at)
values (%(root)s, %(owner)s, %(name)s, %(spec)s, %(time)s)
on conflict (root) do update set
    owner = excluded.owner, name = excluded.name, spec = excluded.spec, created_at = excluded.created_at

-- name: job_changed
insert into rm.jobs (root, state, output, reason, failed_task, detail, task_count, started_at, finished_at)
values (
    %(root)s, %(state)s, %(output)s, %(reason)s, %(task)s, %(detail)s, %(tasks)s,
    case when %(state)s = 'running' then %(time)s::bigint end,
    case when %(state)s in ('complete', 'failed', 'cancelled') then %(time)s::bigint end
)
on conflict (root) do update set
    state = excluded.state,
    output = excluded.output,
    reason = excluded.reason,
    failed_task = excluded.failed_task,
    detail = excluded.detail,
    task_count = greatest(jobs.task_count, excluded.task_count),
    started_at = coalesce(jobs.started_at, excluded.started_at),
    finished_at = coalesce(jobs.finished_at, excluded.finished_at)

-- name: task_described
insert into rm.job_tasks (
    root, task, created_by, sequence, qsequence, name, spec, bound, script_digest, inputs_digest, parameters_digest, created_at
)
values (
    %(root)s, %(task)s, %(created_by)s, %(sequence)s, %(qsequence)s, %(name)s, %(spec)s, %(bound)s,
    %(script_digest)s, %(inputs_digest)s, %(parameters_digest)s, %(time)s
)
on conflict (root, task) do update set
    created_by = excluded.created_by, sequence = excluded.sequence, qsequence = excluded.qsequence,
    name = excluded.name, spec = excluded.spec, bound = excluded.bound, script_digest = excluded.script_digest,
    inputs_digest = excluded.inputs_digest, parameters_digest = excluded.parameters_digest,
    created_at = excluded.created_at

-- name: task_changed
insert into rm.job_tasks as t (
    root, task, state, fingerprint, is_pure, ineligible, token, source, output, log, children, progress,
    reason, failure, exit_code, detail, source_started_at, source_finished_at, started_at, finished_at
)
values (
    %(root)s, %(task)s, %(state)s, %(fingerprint)s, coalesce(%(is_pure)s, false), %(ineligible)s, %(token)s, %(source)s,
    %(output)s, %(log)s, %(children)s, %(progress)s, %(reason)s, %(failure)s, %(exit_code)s, %(detail)s,
    %(started_at)s, %(finished_at)s,
    case when %(state)s in ('running', 'copied') then %(time)s::bigint end,
    case when %(state)s in ('complete', 'copied', 'failed', 'cancelled') then %(time)s::bigint end
)
on conflict (root, task) do update set
    state = excluded.state,
    fingerprint = coalesce(nullif(excluded.fingerprint, ''), t.fingerprint),
    is_pure = coalesce(%(is_pure)s, t.is_pure),
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

-- name: task_decided
insert into rm.job_tasks as t (root, task, decision, why, decided_at, attempt, running_token, waiting_on, waiting_kind, waiting_since, waited)
values (
    %(root)s, %(task)s, %(decision)s, %(why)s, %(time)s, %(attempt)s, %(running_token)s, %(waiting_on)s, %(waiting_kind)s,
    case when %(waiting_on)s <> '' then %(time)s::bigint end, %(waited)s
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
insert into rm.tasks (token, fingerprint, attempt, replaces, why, granted_at)
values (%(token)s, %(fingerprint)s, %(attempt)s, %(replaces)s, %(why)s, %(time)s)
on conflict (token) do update set
    attempt = excluded.attempt, replaces = excluded.replaces, why = excluded.why, granted_at = excluded.granted_at

-- name: execution_held
insert into rm.tasks (token, fingerprint, owner, task, root, held_offset, held_index)
values (%(token)s, %(fingerprint)s, %(owner)s, %(task)s, %(root)s, %(cause_offset)s, %(cause_index)s)
on conflict (token) do update set
    owner = excluded.owner, task = excluded.task, root = excluded.root,
    held_offset = excluded.held_offset, held_index = excluded.held_index
where (tasks.held_offset, tasks.held_index) < (excluded.held_offset, excluded.held_index)

-- name: execution_changed
insert into rm.tasks as t (
    token, fingerprint, status, is_impure, node, incarnation, runner, environment, exit_code, failure, detail, output, log, progress,
    access, node_started_at, node_finished_at, running_at, ended_at
)
values (
    %(token)s, %(fingerprint)s, case when %(status)s = 'impure' then 'granted' else %(status)s end, %(status)s = 'impure', %(node)s, %(incarnation)s, %(runner)s, %(environment)s, %(exit_code)s,
    %(failure)s, %(detail)s, %(output)s, %(log)s, %(progress)s, %(access)s, %(started_at)s, %(finished_at)s,
    case when %(status)s = 'running' then %(time)s::bigint end,
    case when %(status)s not in ('granted', 'running', 'impure') then %(time)s::bigint end
)
on conflict (token) do update set
    -- Losing its purity ends an entry, but not an execution: that one goes on for its own task.
    status = case when %(status)s <> 'impure' then %(status)s when t.status = 'done' then 'impure' else t.status end,
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
values (%(earlier)s, %(later)s, %(fingerprint)s, %(earlier_output)s, %(later_output)s, %(time)s)
on conflict (earlier, later) do nothing

-- name: claim_changed
insert into rm.claims (fingerprint, quarantined, reason, changed_at)
values (%(fingerprint)s, %(quarantined)s, %(reason)s, %(time)s)
on conflict (fingerprint) do update set
    quarantined = excluded.quarantined, reason = excluded.reason, changed_at = excluded.changed_at

-- name: answered
insert into rm.answers (log_id, command_offset, outcome, reason, about, detail, answered_at, partition, position)
values (
    %(cause_log_id)s, %(cause_offset)s, %(outcome)s, %(reason)s, %(about)s, %(detail)s, %(time)s, %(partition)s, %(position)s
)

-- name: said
insert into rm.job_log (root, position, said_at, kind, task, token, other, number, detail)
values (
    %(root)s, %(position)s, %(time)s, %(kind)s, %(task)s, %(token)s, %(other)s, %(number)s, %(detail)s
)

-- name: user_set
insert into rm.users (uuid, name, is_admin, is_active)
values (%(user)s, %(name)s, %(is_admin)s, %(is_active)s)
on conflict (uuid) do update set
    name = excluded.name, is_admin = excluded.is_admin, is_active = excluded.is_active

-- name: group_set
insert into rm.groups (uuid, name, owner)
values (%(group)s, %(name)s, %(owner)s)
on conflict (uuid) do update set name = excluded.name, owner = excluded.owner

-- name: grant_set
insert into rm.grants (subject, object)
values (%(subject)s, %(object)s)
on conflict do nothing

-- name: grant_removed
delete from rm.grants where subject = %(subject)s and object = %(object)s

-- name: number_set
insert into rm.settings (name, value)
values (%(name)s, %(value)s)
on conflict (name) do update set value = excluded.value

-- name: pure_assumed
insert into rm.assumed_pure (repository, script, commits)
values (%(repository)s, %(script)s, %(commits)s)
on conflict (repository, script) do update set commits = excluded.commits

-- name: positions
select partition, log_id, next_offset from rm.applied order by partition for update

-- name: begin_partition
insert into rm.applied (partition, log_id, next_offset) values (%(partition)s, %(log_id)s, 0)
on conflict (partition) do nothing

-- name: marks
select partition, source_log_id, cause_offset, cause_index from rm.marks

-- name: move_position
update rm.applied set next_offset = %(next_offset)s where partition = %(partition)s

-- name: move_mark
insert into rm.marks (partition, source_log_id, cause_offset, cause_index)
values (%(partition)s, %(source_log_id)s, %(cause_offset)s, %(cause_index)s)
on conflict (partition, source_log_id) do update set
    cause_offset = excluded.cause_offset, cause_index = excluded.cause_index

-- name: forget_answers
delete from rm.answers where partition = %(partition)s and position < %(before)s

-- name: notify
select pg_notify('rm', '')
