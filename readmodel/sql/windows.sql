-- What the live views count (streams/windows.py), asked of the read model: the same rows, for who has no Kafka.
-- `since`: ms since 1970; a window is a minute, named by its first ms. What was imported did not happen here.

-- name: windows
with native as (
    select
        t.state, t.created_at, t.started_at, t.finished_at, t.source_started_at, t.source_finished_at,
        case when t.state = 'failed' then coalesce(replace(t.spec, '\u0000', '\ufffd')::json ->> 'image', '') end as image
    from rm.job_tasks t
    where t.changed_at >= %(since)s and t.created_at is not null
        and not exists (select from rm.jobs j where j.root = t.root and j.is_imported)
),
happened (at, kind, label, amount) as (
    select
        t.finished_at, 'ended', t.state,
        case when t.state = 'copied' then greatest(t.source_finished_at - t.source_started_at, 0) else 0 end
    from native t
    where t.finished_at >= %(since)s
    union all
    select t.started_at, 'waited', '', t.started_at - t.created_at from native t where t.started_at >= %(since)s
    union all
    select t.finished_at, 'failed_with_image', t.image, 0
    from native t
    where t.finished_at >= %(since)s and t.state = 'failed'
    union all
    select e.granted_at, 'executed', e.fingerprint, 0 from rm.tasks e where e.granted_at >= %(since)s and e.why <> 'imported'
    union all
    select e.ended_at, 'failed_on_node', e.node, 0
    from rm.tasks e
    where e.ended_at >= %(since)s and e.status in ('failed', 'lost')
)
select h.at - h.at %% 60000 as "window", h.kind, h.label, count(*) as count, sum(h.amount)::bigint as amount
from happened h
group by 1, 2, 3
order by 1 desc, 2, 3
