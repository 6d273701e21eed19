-- Entries, their use, and what that saved (readmodel/cache.py). `everything` and `owners`: the viewer's sight.

-- name: entries
select e.token, e.fingerprint, e.owner, e.task, e.root, coalesce(t.name, '') as name, e.output,
    coalesce(e.ended_at, e.granted_at) as made_at, greatest(e.ended_at, e.granted_at, c.last) as used_at,
    c.copies, greatest(e.node_finished_at - e.node_started_at, 0) as took
from rm.entries e
left join rm.job_tasks t on t.root = e.root and t.task = e.task
cross join lateral (
    select count(*) as copies, max(x.finished_at) as last
    from rm.job_tasks x join rm.jobs j using (root)
    where x.token = e.token and x.token <> '' and x.state = 'copied' and (%(everything)s or j.owner = any(%(owners)s))
) c
where (%(everything)s or e.owner = any(%(owners)s))
    and (%(of_owner)s::text is null or e.owner = %(of_owner)s)
    and (%(task)s::text is null or e.token in (select k.token from rm.job_tasks k where k.task = %(task)s))
    and (%(made_before)s::bigint is null or coalesce(e.ended_at, e.granted_at) < %(made_before)s)
    and (%(used_before)s::bigint is null or greatest(e.ended_at, e.granted_at, c.last) < %(used_before)s)
order by used_at, e.token
limit %(limit)s

-- name: due
-- Entries of an earlier time than these, by when they were made and by when they were last given to anybody.
-- `is_disputed`: there were two outputs of this work, and nobody has decided that since.
select
    e.token, e.fingerprint, coalesce(e.ended_at, e.granted_at) < %(made_before)s as is_old,
    exists (
        select from rm.disagreements d
        where d.fingerprint = e.fingerprint and d.kept_at is null and not exists (
            select from rm.claims r where r.fingerprint = d.fingerprint and not r.quarantined and r.changed_at >= d.told_at
        ) and not exists (
            select from rm.tasks x where x.token in (d.earlier, d.later) and x.status in ('invalidated', 'impure')
        )
    ) as is_disputed
from rm.entries e
cross join lateral (
    select max(x.finished_at) as last from rm.job_tasks x where x.token = e.token and x.token <> '' and x.state = 'copied'
) c
where coalesce(e.ended_at, e.granted_at) < %(made_before)s
    or greatest(e.ended_at, e.granted_at, c.last) < %(used_before)s
order by coalesce(e.ended_at, e.granted_at), e.token
limit %(limit)s

-- name: savings
-- `given`: copies that this user's jobs were given; `taken`: copies that others were given of this user's executions.
select
    count(*) filter (where j.owner = %(user)s) as given,
    coalesce(sum(x.took) filter (where j.owner = %(user)s), 0)::bigint as given_ms,
    count(*) filter (where j.owner <> %(user)s and e.owner = %(user)s) as taken,
    coalesce(sum(x.took) filter (where j.owner <> %(user)s and e.owner = %(user)s), 0)::bigint as taken_ms
from (
    select t.root, t.token, greatest(t.source_finished_at - t.source_started_at, 0) as took
    from rm.job_tasks t where t.state = 'copied'
) x
join rm.jobs j using (root)
join rm.tasks e using (token)
where j.owner = %(user)s or e.owner = %(user)s

-- name: copied_outputs
select t.output, count(*) as times from rm.job_tasks t join rm.jobs j using (root)
where t.state = 'copied' and j.owner = %(user)s and t.output <> ''
group by t.output
