-- Where outputs went: what an operator asks, who sees everything (readmodel/spread.py).

-- name: selected
select e.token, e.fingerprint, coalesce(u.name, g.name, e.owner) as owner, e.task, e.root, e.status, e.node, e.output,
    e.running_at, e.ended_at
from rm.tasks e
left join rm.users u on u.uuid = e.owner
left join rm.groups g on g.uuid = e.owner
left join lateral (
    select t.spec::json as spec from rm.job_tasks t where t.fingerprint = e.fingerprint and t.spec is not null limit 1
) t on true
where e.status in ('granted', 'running', 'done', 'missing', 'removed', 'invalidated', 'impure')
    and (%(task)s::text is null or e.token in (
        select coalesce(nullif(t.token, ''), t.running_token) from rm.job_tasks t where t.task = %(task)s
    ))
    and (%(fingerprint)s::text is null or e.fingerprint = %(fingerprint)s)
    and (%(node)s::text is null or e.node = %(node)s)
    and (%(script)s::text is null or t.spec ->> 'script' in (%(script)s, 'crunch_scripts/' || %(script)s))
    and (%(commits)s::text[] is null or t.spec ->> 'commit' = any(%(commits)s))
    and (%(image)s::text is null or %(image)s in (t.spec ->> 'image', t.spec ->> 'image_name'))
    and (%(since)s::bigint is null or coalesce(e.ended_at, %(since)s) >= %(since)s)
    and (%(until)s::bigint is null or coalesce(e.running_at, e.granted_at) <= %(until)s)
order by e.granted_at, e.token

-- name: of_tokens
select e.token, e.fingerprint, coalesce(u.name, g.name, e.owner) as owner, e.task, e.root, e.status, e.node, e.output,
    e.running_at, e.ended_at
from rm.tasks e
left join rm.users u on u.uuid = e.owner
left join rm.groups g on g.uuid = e.owner
where e.token = any(%(tokens)s)
order by e.granted_at, e.token

-- name: receivers
-- Tasks that have the output of an execution, or wait for it.
select t.root, t.task, t.name, coalesce(u.name, g.name, j.owner) as owner, t.state, t.token, t.output
from rm.job_tasks t
join rm.jobs j using (root)
left join rm.users u on u.uuid = j.owner
left join rm.groups g on g.uuid = j.owner
where (t.token = any(%(tokens)s) and t.token <> '')
    or (t.waiting_on = any(%(tokens)s) and t.waiting_on <> '' and t.state in ('todo', 'claimed', 'running'))
order by t.created_at, t.root, t.task

-- name: jobs_among
select j.root, j.name, coalesce(u.name, g.name, j.owner) as owner, j.state, j.output
from rm.jobs j
left join rm.users u on u.uuid = j.owner
left join rm.groups g on g.uuid = j.owner
where j.root = any(%(roots)s)
order by j.created_at, j.root

-- name: readers
select distinct t.root, t.task, t.name, coalesce(u.name, g.name, j.owner) as owner, t.state, t.output,
    coalesce(nullif(t.token, ''), t.running_token) as token
from rm.reads r
join rm.job_tasks t using (root, task)
join rm.jobs j using (root)
left join rm.users u on u.uuid = j.owner
left join rm.groups g on g.uuid = j.owner
where r.content = any(%(contents)s)
order by t.root, t.task
