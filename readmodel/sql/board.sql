-- What the dashboard shows (readmodel/board.py), each bounded, so that a page costs the same however much there is.
-- `everything` and `owners` are the viewer's sight. What a client deleted is shown no more, as in the API.

-- name: jobs
-- `states`: null for all. The page is chosen before anything is added up.
select
    j.*, coalesce(u.name, g.name, '') as owner_name, h.tasks, h.executed, h.copied, h.failed, h.cancelled, h.saved
from (
    select
        j.root, j.owner, j.name, j.state, j.output, j.reason, j.failed_task, j.detail, j.created_at, j.started_at, j.finished_at
    from rm.jobs j
    where j.created_at is not null
        and (%(everything)s or j.owner = any(%(owners)s))
        and (%(root)s::text is null or j.root = %(root)s)
        and (%(states)s::text[] is null or j.state = any(%(states)s))
        and not exists (select from api.notes n where n.uuid = j.root and n.is_deleted)
    order by j.created_at desc, j.root
    limit %(limit)s offset %(offset)s
) j
left join rm.users u on u.uuid = j.owner
left join rm.groups g on g.uuid = j.owner
cross join lateral (
    select
        coalesce(sum(h.created), 0)::bigint as tasks, coalesce(sum(h.executed), 0)::bigint as executed,
        coalesce(sum(h.copied), 0)::bigint as copied, coalesce(sum(h.failed), 0)::bigint as failed,
        coalesce(sum(h.cancelled), 0)::bigint as cancelled, coalesce(sum(h.saved), 0)::bigint as saved
    from rm.hours h where h.root = j.root
) h
order by j.created_at desc, j.root

-- name: is_deleted
select exists (select from api.notes n where n.is_deleted and n.uuid = any(%(uuids)s)) as is_deleted

-- name: children
-- The tasks that one task queued, or those that none queued. The page is chosen in the index alone.
select t.*, j.owner, 0 as depth
from (
    select c.task
    from rm.job_tasks c
    where c.root = %(root)s and c.created_by = %(parent)s and c.created_at is not null
    order by c.qsequence, c.task
    limit %(limit)s offset %(offset)s
) c
join rm.job_tasks t on t.root = %(root)s and t.task = c.task
join rm.jobs j on j.root = %(root)s
where j.created_at is not null and (%(everything)s or j.owner = any(%(owners)s))
order by t.qsequence, t.task

-- name: queued_by
-- How many tasks each of these queued.
select t.created_by as task, count(*) as queued
from rm.job_tasks t
where t.root = %(root)s and t.created_by = any(%(tasks)s) and t.created_at is not null
group by t.created_by

-- name: in_flight
-- What is granted or runs, longest first, and how many of the tasks that the viewer sees wait on it, up to `most`.
select
    e.token, e.fingerprint, e.status, e.task, e.root, e.owner, t.name, e.node, e.runner, e.attempt, e.progress, e.granted_at,
    e.running_at, (
        select count(*) from (
            select from rm.job_tasks w join rm.jobs wj using (root)
            where w.waiting_on = e.token and w.waiting_on <> '' and (%(everything)s or wj.owner = any(%(owners)s))
            limit %(most)s
        ) w
    ) as waiters
from rm.tasks e
left join rm.job_tasks t on t.root = e.root and t.task = e.task
where e.status in ('granted', 'running') and (%(everything)s or e.owner = any(%(owners)s))
    and (%(node)s::text is null or e.node = %(node)s)
order by e.granted_at, e.token
limit %(limit)s offset %(offset)s

-- name: hot
-- Of the latest copies that the viewer sees: which work they were given, and what that saved. They are found hour by hour
-- and job by job, where the counters say that there are any: who sees few things does not look at all the others'.
with busy as materialized (
    select h.root, h.hour
    from rm.hours h
    where h.copied > 0
        and (%(everything)s or exists (select from rm.jobs j where j.root = h.root and j.owner = any(%(owners)s)))
    order by h.hour desc, h.root
    limit %(latest)s
),
latest as (
    select c.*
    from busy b
    cross join lateral (
        select
            t.fingerprint, t.finished_at, t.name, t.task, greatest(t.source_finished_at - t.source_started_at, 0) as saved
        from rm.job_tasks t
        where t.root = b.root and t.state = 'copied' and t.finished_at >= b.hour and t.finished_at < b.hour + 3600000
        order by t.finished_at desc
        limit %(latest)s
    ) c
    limit %(latest)s
)
select
    c.fingerprint, count(*) as copies, sum(c.saved)::bigint as saved, max(c.finished_at) as last_at,
    (array_agg(c.name order by c.finished_at desc))[1] as name, (array_agg(c.task order by c.finished_at desc))[1] as task
from latest c
group by c.fingerprint
order by copies desc, last_at desc, c.fingerprint
limit %(limit)s

-- name: hours
-- What ended in each hour from `since` on.
select
    h.hour, sum(h.executed)::bigint as executed, sum(h.copied)::bigint as copied, sum(h.failed)::bigint as failed,
    sum(h.saved)::bigint as saved, sum(h.spent)::bigint as spent
from rm.hours h
where h.hour >= %(since)s
    and (%(everything)s or exists (select from rm.jobs j where j.root = h.root and j.owner = any(%(owners)s)))
group by h.hour
order by h.hour

-- name: conflicts
-- Pairs both of which the viewer sees. `is_open`: nobody has decided between these outputs; that one of them is lost, or
-- was tidied away, decides nothing. A release settles the outputs that are known then, so one of them that comes again
-- opens nothing. What an attempt said that had been given up would never be given, but keeps the other from being, until
-- an operator keeps that one.
select
    d.fingerprint, d.earlier, d.later, d.earlier_output, d.later_output, d.told_at,
    coalesce(c.quarantined, false) as quarantined,
    (c.changed_at is null or c.quarantined or exists (
        select from (values (d.earlier_output), (d.later_output)) o (output)
        where not exists (
            select from rm.disagreements s
            where s.fingerprint = d.fingerprint and s.told_at <= c.changed_at
                and o.output in (s.earlier_output, s.later_output)
        )
    )) and (
        a.status in ('done', 'missing', 'removed') and b.status in ('done', 'missing', 'removed')
        or a.status in ('lost', 'failed') and b.status = 'done' and d.kept_at is null
    ) as is_open
from rm.disagreements d
join rm.tasks a on a.token = d.earlier
join rm.tasks b on b.token = d.later
left join rm.claims c on c.fingerprint = d.fingerprint
where (%(everything)s or a.owner = any(%(owners)s) or exists (
        select from rm.job_tasks t join rm.jobs j using (root)
        where t.token = a.token and t.token <> '' and t.state = 'copied' and j.owner = any(%(owners)s)
    ))
    and (%(everything)s or b.owner = any(%(owners)s) or exists (
        select from rm.job_tasks t join rm.jobs j using (root)
        where t.token = b.token and t.token <> '' and t.state = 'copied' and j.owner = any(%(owners)s)
    ))
    and (%(fingerprint)s::text is null or d.fingerprint = %(fingerprint)s)
order by is_open desc, d.told_at desc, d.earlier, d.later
limit %(limit)s offset %(offset)s

-- name: sides
-- Executions of pairs that `conflicts` gave to the same viewer.
select e.*, (%(everything)s or e.owner = any(%(owners)s)) as is_own
from rm.tasks e
where e.token = any(%(tokens)s) and e.status <> 'cancelled'

-- name: holders
-- Tasks that have an execution's output, first the one that ran: in the alphabet `complete` stands before `copied`.
select t.task, t.root, t.name, t.state, t.finished_at
from rm.job_tasks t
join rm.jobs j using (root)
where t.token = %(token)s and t.token <> '' and t.state in ('complete', 'copied')
    and (%(everything)s or j.owner = any(%(owners)s))
order by t.state, t.finished_at, t.root, t.task
limit %(limit)s

-- name: makers
-- For each of these contents, a task that made it: the first that the viewer sees, who executed it before who copied it.
select m.output, m.task, m.root, m.name, m.state
from unnest(%(contents)s::text[]) c (content)
cross join lateral (
    select t.output, t.task, t.root, t.name, t.state
    from rm.job_tasks t
    join rm.jobs j using (root)
    where t.output = c.content and t.output <> '' and t.state in ('complete', 'copied')
        and (%(everything)s or j.owner = any(%(owners)s))
    order by t.state, t.finished_at, t.root, t.task
    limit 1
) m

-- name: tasks_of_fingerprint
select t.task, t.root, t.name, t.state, t.created_at, t.finished_at
from rm.job_tasks t
join rm.jobs j using (root)
where t.fingerprint = %(fingerprint)s and t.created_at is not null and j.created_at is not null
    and (%(everything)s or j.owner = any(%(owners)s))
order by t.created_at desc, t.root, t.task
limit %(limit)s offset %(offset)s

-- name: projected
select partition, next_offset, as_of from rm.applied order by partition
