-- What a task waits for (readmodel/waiting.py). `everything` and `owners`: the viewer's sight.

-- name: waited_for
select
    t.waiting_kind as kind, coalesce(u.name, g.name, e.owner) as owner, e.status, e.node, e.granted_at, e.running_at,
    e.progress,
    (
        select count(*) from rm.job_tasks w join rm.jobs j using (root)
        where w.waiting_on = t.waiting_on and w.waiting_on <> '' and w.state in ('todo', 'claimed', 'running')
            and (w.waiting_since, w.task) <= (t.waiting_since, t.task)
            and (%(everything)s or j.owner = any(%(owners)s))
    ) as position,
    (
        with k as materialized (
            select key from rm.alike_keys(%(spec)s, %(bound)s) where left_out = 'all but program'
        )
        select percentile_disc(0.5) within group (order by took.ms)
        from k
        cross join unnest(%(owners)s::text[]) o (owner)
        cross join lateral (
            select x.node_finished_at - x.node_started_at as ms
            from rm.alike a
            join rm.job_tasks d using (root, task)
            join rm.tasks x on x.token = d.token
            where a.key = k.key and a.owner = o.owner and x.node_finished_at > x.node_started_at
            order by a.ended_at desc
            limit %(alike)s
        ) took
    ) as takes
from rm.job_tasks t
join rm.tasks e on e.token = t.waiting_on
left join rm.users u on u.uuid = e.owner
left join rm.groups g on g.uuid = e.owner
where t.root = %(root)s and t.task = %(task)s and (%(everything)s or e.owner = any(%(owners)s))
