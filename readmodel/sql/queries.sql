-- What people ask. `everything` and `owners` are the viewer's sight (readmodel/sight.py): who may see all, else whose
-- things may be seen. A row that does not pass them does not exist for the viewer. Executions that were cancelled are
-- nobody's: else who had one could tell that it was not taken over by somebody else.

-- name: users
select uuid, name, is_admin, is_active from rm.users order by uuid

-- name: view
-- All at one moment, in one round trip. `mark`: how far the settings are projected; all facts of theirs are in partition 0.
select 'user' as kind, uuid, '' as other, is_admin, is_active from rm.users
union all select 'group', uuid, owner, false, false from rm.groups
union all select 'grant', subject, object, false, false from rm.grants
union all select 'mark', source_log_id, cause_offset || '.' || cause_index, false, false from rm.marks
    where partition = 0 and source_log_id = %(settings)s
order by kind, uuid, other

-- name: settings_mark
select cause_offset || '.' || cause_index from rm.marks where partition = 0 and source_log_id = %(settings)s

-- name: user_named
select uuid, name, is_admin, is_active from rm.users where name = %(name)s order by uuid limit 1

-- name: settings
select name, value from rm.settings order by name

-- name: jobs
select
    j.root, j.owner, j.name, j.state, j.output, j.log, j.reason, j.failed_task, j.detail, j.created_at, j.started_at, j.finished_at,
    c.tasks, c.finished, c.copied
from rm.jobs j
cross join lateral (
    select
        count(*) as tasks,
        count(*) filter (where t.state in ('complete', 'copied', 'failed', 'cancelled')) as finished,
        count(*) filter (where t.state = 'copied') as copied
    from rm.job_tasks t
    where t.root = j.root and t.created_at is not null
) c
where j.created_at is not null
    and (%(everything)s or j.owner = any(%(owners)s))
    and (%(root)s::text is null or j.root = %(root)s)
order by j.created_at desc, j.root
limit %(limit)s offset %(offset)s

-- name: tree
with recursive tree (task, path, depth) as (
    select t.task, array[t.qsequence], 0
    from rm.job_tasks t
    where t.root = %(root)s and t.created_at is not null and not exists (
        select from rm.job_tasks p where p.root = t.root and p.task = t.created_by and p.created_at is not null
    )
    union all
    select t.task, tree.path || t.qsequence, tree.depth + 1
    from tree
    join rm.job_tasks t on t.root = %(root)s and t.created_by = tree.task and t.created_at is not null
)
select t.*, j.owner, tree.depth
from tree
join rm.job_tasks t on t.root = %(root)s and t.task = tree.task
join rm.jobs j on j.root = t.root
where j.created_at is not null and (%(everything)s or j.owner = any(%(owners)s))
order by tree.path, t.task

-- name: left
-- The tree's order as above, and no more of the rows than output and log: a job may have very many large ones.
with recursive tree (task, path, output, log) as (
    select t.task, array[t.qsequence], t.output, t.log
    from rm.job_tasks t
    where t.root = %(root)s and t.created_at is not null and not exists (
        select from rm.job_tasks p where p.root = t.root and p.task = t.created_by and p.created_at is not null
    )
    union all
    select t.task, tree.path || t.qsequence, t.output, t.log
    from tree
    join rm.job_tasks t on t.root = %(root)s and t.created_by = tree.task and t.created_at is not null
)
select tree.task, tree.output, tree.log from tree
where exists (select from rm.jobs j where j.root = %(root)s and j.created_at is not null)
order by tree.path, tree.task

-- name: task
select t.*, j.owner, 0 as depth
from rm.job_tasks t
join rm.jobs j using (root)
where t.task = %(task)s
    and t.created_at is not null and j.created_at is not null
    and (%(everything)s or j.owner = any(%(owners)s))
order by t.created_at, t.root
limit 1

-- name: is_proved
-- A copy of nobody's task that its owner may see is one that they were given for a proof.
select exists (
    select from rm.job_tasks t where t.root = %(root)s and t.task = %(task)s and t.state = 'copied' and t.source = ''
) as is_proved

-- name: visible_tasks
select distinct on (t.task) t.task, t.root, t.name, coalesce(u.name, g.name, j.owner) as owner
from rm.job_tasks t
join rm.jobs j using (root)
left join rm.users u on u.uuid = j.owner
left join rm.groups g on g.uuid = j.owner
where t.task = any(%(tasks)s) and (%(everything)s or j.owner = any(%(owners)s))
order by t.task, t.created_at, t.root

-- name: visible_tokens
-- Of each, the task that it runs for, or else the first copy of its output that the viewer sees.
select k.token, h.task, h.root, t.name, coalesce(u.name, g.name, h.owner) as owner
from unnest(%(tokens)s::text[]) k (token)
cross join lateral (
    (
        select e.task, e.root, e.owner, 0 as rank
        from rm.tasks e
        where e.token = k.token and e.status <> 'cancelled' and (%(everything)s or e.owner = any(%(owners)s))
    )
    union all
    (
        select t.task, t.root, j.owner, 1
        from rm.job_tasks t
        join rm.jobs j using (root)
        where t.token = k.token and t.token <> '' and t.state = 'copied' and (%(everything)s or j.owner = any(%(owners)s))
        order by t.finished_at, t.root, t.task
        limit 1
    )
    order by rank
    limit 1
) h
left join rm.job_tasks t on t.root = h.root and t.task = h.task
left join rm.users u on u.uuid = h.owner
left join rm.groups g on g.uuid = h.owner

-- name: execution
select e.*, (%(everything)s or e.owner = any(%(owners)s)) as is_own
from rm.tasks e
where e.token = %(token)s and e.status <> 'cancelled' and (
    %(everything)s or e.owner = any(%(owners)s) or exists (
        select from rm.job_tasks t join rm.jobs j using (root)
        where t.token = e.token and t.token <> '' and t.state = 'copied' and j.owner = any(%(owners)s)
    )
)

-- name: executions_of
select e.*, (%(everything)s or e.owner = any(%(owners)s)) as is_own
from rm.tasks e
where e.fingerprint = %(fingerprint)s and e.status <> 'cancelled' and (
    %(everything)s or e.owner = any(%(owners)s) or exists (
        select from rm.job_tasks t join rm.jobs j using (root)
        where t.token = e.token and t.token <> '' and t.state = 'copied' and j.owner = any(%(owners)s)
    )
)
order by e.granted_at, e.token

-- name: disagreements
select d.fingerprint, d.earlier, d.later, d.earlier_output, d.later_output, d.told_at, d.kept_at
from rm.disagreements d
where d.fingerprint = %(fingerprint)s
order by d.told_at, d.earlier, d.later

-- name: quarantine
select c.reason, c.changed_at from rm.claims c where c.fingerprint = %(fingerprint)s and c.quarantined

-- name: counts
select
    count(*) filter (where t.state = 'todo') as todo,
    count(*) filter (where t.state = 'claimed') as claimed,
    count(*) filter (where t.state = 'running') as running,
    count(*) filter (where t.state = 'complete') as complete,
    count(*) filter (where t.state = 'copied') as copied,
    count(*) filter (where t.state = 'failed') as failed,
    count(*) filter (where t.state = 'cancelled') as cancelled,
    count(*) filter (where t.waited) as waited,
    coalesce(sum(greatest(t.source_finished_at - t.source_started_at, 0)) filter (where t.state = 'copied'), 0)::bigint as saved
from rm.job_tasks t
join rm.jobs j using (root)
where t.created_at is not null and j.created_at is not null
    and (%(everything)s or j.owner = any(%(owners)s))
    and (%(root)s::text is null or t.root = %(root)s)

-- name: counts_of_executions
select
    count(*) as granted,
    count(e.running_at) as started,
    coalesce(sum(greatest(e.node_finished_at - e.node_started_at, 0)), 0)::bigint as spent
from rm.tasks e
where e.status <> 'cancelled' and (%(everything)s or e.owner = any(%(owners)s)) and (%(root)s::text is null or e.root = %(root)s)

-- name: waiting
select t.task, t.root, t.name, t.waiting_on, t.waiting_kind, t.waiting_since
from rm.job_tasks t
join rm.jobs j using (root)
where t.waiting_on <> '' and t.state in ('todo', 'claimed', 'running')
    and (%(everything)s or j.owner = any(%(owners)s))
    and (%(root)s::text is null or t.root = %(root)s)
order by t.waiting_since, t.root, t.task
limit %(limit)s

-- name: job_log
select l.position, l.said_at, l.kind, l.task, coalesce(t.name, '') as name, l.token, l.other, l.number, l.detail
from rm.job_log l
join rm.jobs j using (root)
left join rm.job_tasks t on t.root = l.root and t.task = l.task
where l.root = %(root)s and l.position > %(after)s
    and (%(task)s::text is null or l.task = %(task)s)
    and (%(everything)s or j.owner = any(%(owners)s))
order by l.position
limit %(limit)s

-- name: answer
select outcome, reason, about, detail, answered_at
from rm.answers
where log_id = %(log_id)s and command_offset = %(offset)s

-- name: answers
select a.log_id, a.command_offset, a.outcome, a.reason, a.about, a.detail, a.answered_at
from unnest(%(log_ids)s::text[], %(offsets)s::bigint[]) as c (log_id, command_offset)
join rm.answers a using (log_id, command_offset)

-- name: doubled
select count(*) as number, max(d.told_at) as latest from rm.doubled d

-- name: assembling
select j.root, j.owner, j.task_count, false as is_cancelled from rm.jobs j where j.state = 'assembling'
union all
select j.root, j.owner, j.task_count, true from rm.jobs j
where j.state = 'cancelled' and j.log = '' and not j.is_imported and j.created_at is not null
order by root

-- name: rules_at
select coalesce(max(version), 1)::bigint as version from rm.rules where since <= %(moment)s

-- name: nearest
-- Earlier finished work that is alike, for each key the newest; keys that leave out all but one thing bring more.
-- Materialised, else each look into the index works its key out anew.
with k as materialized (select left_out, key from rm.alike_keys(%(spec)s, %(bound)s))
select k.left_out, n.root, n.task, t.name, coalesce(u.name, g.name, n.owner) as owner, n.ended_at, t.spec, t.bound
from k
cross join lateral (
    select a.*
    from unnest(%(owners)s::text[]) o (owner)
    cross join lateral (
        select a.root, a.task, a.owner, a.ended_at
        from rm.alike a
        where a.key = k.key and a.owner = o.owner and a.ended_at <= %(before)s and a.work <> rm.work_of(%(fingerprint)s)
        order by a.ended_at desc
        limit case when starts_with(k.left_out, 'all but ') then %(limit)s else 1 end
    ) a
    order by a.ended_at desc
    limit case when starts_with(k.left_out, 'all but ') then %(limit)s else 1 end
) n
join rm.job_tasks t using (root, task)
left join rm.users u on u.uuid = n.owner
left join rm.groups g on g.uuid = n.owner
order by n.ended_at desc, n.root, n.task

-- name: candidates
-- As executions_of, with what each was granted of a node.
select e.*, (%(everything)s or e.owner = any(%(owners)s)) as is_own, (t.spec::json -> 'resources')::text as resources
from rm.tasks e
left join rm.job_tasks t on t.root = e.root and t.task = e.task
where e.fingerprint = %(fingerprint)s and e.status <> 'cancelled' and (
    %(everything)s or e.owner = any(%(owners)s) or exists (
        select from rm.job_tasks t join rm.jobs j using (root)
        where t.token = e.token and t.token <> '' and t.state = 'copied' and j.owner = any(%(owners)s)
    )
)
order by e.granted_at, e.token

-- name: judged
select c.quarantined, c.reason, c.changed_at from rm.claims c where c.fingerprint = %(fingerprint)s

-- name: ended_among
-- How many of these jobs have ended.
select count(*) as ended from rm.jobs j
where j.root = any(%(roots)s) and j.created_at is not null and j.state in ('complete', 'failed', 'cancelled')

-- name: imported_conflicts
select count(distinct d.fingerprint) as conflicts
from rm.disagreements d
where exists (select from rm.tasks e where e.token in (d.earlier, d.later) and e.why = 'imported')

-- name: assumed
select repository, script, commits from rm.assumed_pure order by repository, script

-- name: children
select t.task, t.spec
from rm.job_tasks t
join rm.jobs j using (root)
where t.root = %(root)s and t.created_by = %(task)s and t.spec is not null
    and (%(everything)s or j.owner = any(%(owners)s))
order by t.qsequence
