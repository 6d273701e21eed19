-- What the API lists (readmodel/listing.py). Each select is one resource as its viewer may see it, its columns the
-- attributes of gateway/api/schema.py; times in ms since 1970, objects and arrays as JSON text.
-- `everything` and `owners` are the viewer's sight, `viewer` is their uuid. A `union all` at the beginning of a line parts a
-- select: each part gives its own first rows to a page, so that an index may find them.

-- name: users
select
    u.uuid, left(u.uuid, 5) || '-tpzed-000000000000000' as owner_uuid, null::bigint as created_at,
    null::text as modified_by_client_uuid, null::text as modified_by_user_uuid, null::bigint as modified_at,
    u.name as username, null::text as email, u.name as full_name, u.name as first_name, ''::text as last_name,
    u.is_active, u.is_admin, '{}'::text as prefs
from rm.users u
where %(everything)s or u.uuid = any(%(owners)s)

-- name: groups
select
    g.uuid, g.owner as owner_uuid, null::bigint as created_at, null::text as modified_by_client_uuid,
    null::text as modified_by_user_uuid, null::bigint as modified_at, g.name, null::text as description,
    'project'::text as group_class
from rm.groups g
where %(everything)s or g.uuid = any(%(owners)s)

-- name: links
-- A grant is seen by who got it and by who owns what it opens, be it through groups; others need not know of it.
select
    left(l.subject, 5) || '-o0j2j-' || left(md5(l.subject || ' ' || l.object), 15) as uuid,
    l.object as owner_uuid, null::bigint as created_at, null::text as modified_by_client_uuid,
    null::text as modified_by_user_uuid, null::bigint as modified_at,
    'permission'::text as link_class, 'can_read'::text as name, l.subject as tail_uuid, l.object as head_uuid,
    '{}'::text as properties
from rm.grants l
where %(everything)s or l.subject = %(viewer)s or l.object = %(viewer)s
    or l.object in (
        with recursive held as (
            select g.uuid from rm.groups g where g.owner = %(viewer)s
            union
            select g.uuid from rm.groups g join held h on g.owner = h.uuid
        )
        select uuid from held
    )

-- name: collections
-- What a name means: the manifest itself is in the store.
select
    c.uuid, c.owner_uuid, c.created_at, null::text as modified_by_client_uuid, c.modified_by_user_uuid, c.modified_at,
    c.name, c.description, c.properties, c.portable_data_hash, null::text as manifest_text,
    null::text as unsigned_manifest_text, c.file_count, c.file_size_total, null::bigint as replication_desired,
    null::bigint as replication_confirmed, null::bigint as replication_confirmed_at,
    '["default"]'::text as storage_classes_desired, '["default"]'::text as storage_classes_confirmed,
    null::bigint as storage_classes_confirmed_at, null::bigint as delete_at, null::bigint as trash_at,
    false as is_trashed, 1::bigint as version, false as preserve_version, c.uuid as current_version_uuid
from api.collections c
where %(everything)s or c.owner_uuid = any(%(owners)s)

-- name: is_content_seen
select %(everything)s or exists (
    select from api.collections c where c.portable_data_hash = any(%(hashes)s) and c.owner_uuid = any(%(owners)s)
) or exists (
    select from rm.jobs j where (j.output = any(%(hashes)s) or j.log = any(%(hashes)s)) and j.owner = any(%(owners)s)
) or exists (
    select from rm.job_tasks t join rm.jobs j using (root)
    where (t.output = any(%(hashes)s) or t.log = any(%(hashes)s)) and j.owner = any(%(owners)s)
) as is_seen

-- name: jobs
-- Tasks are jobs: a primary job has no parent, a task has its primary job. Objects stand in `spec` (the job's or task's
-- own) and `said` (what a client said of it), for gateway/api/jobs_shown.py. JSON's NUL is none that Postgres can hold.
select
    x.uuid, x.owner_uuid, x.created_at, null::text as modified_by_client_uuid, x.owner_uuid as modified_by_user_uuid,
    greatest(x.created_at, x.started_at, x.finished_at, n.changed_at) as modified_at,
    x.parent_job_uuid, n.submit_id, regexp_replace(x.task ->> 'script', '^crunch_scripts/', '') as script,
    coalesce(x.task ->> 'commit', x.task ->> 'code') as script_version, x.task ->> 'repository' as repository,
    coalesce(n.note ->> 'supplied_script_version', x.task ->> 'commit') as supplied_script_version,
    nullif(x.task ->> 'image', '') as docker_image_locator, null::text as arvados_sdk_version, x.state,
    x.state = 'Running' as running,
    case x.state when 'Complete' then true when 'Failed' then false when 'Cancelled' then false end as success,
    x.started_at, case when x.state in ('Complete', 'Failed') then x.finished_at end as finished_at,
    case when x.state = 'Cancelled' then x.finished_at end as cancelled_at, null::text as cancelled_by_client_uuid,
    null::text as cancelled_by_user_uuid, coalesce(x.priority, (x.task ->> 'priority')::bigint, 0) as priority,
    (n.note ->> 'nondeterministic')::boolean as nondeterministic, n.note ->> 'is_locked_by_uuid' as is_locked_by_uuid,
    nullif(x.output, '') as output, nullif(x.log, '') as log,
    case when x.state = 'Queued' then 0::bigint end as queue_position, n.note ->> 'description' as description,
    x.is_pure, nullif(x.ineligible, '') as not_reusable_because, nullif(x.created_by, '') as created_by_job_task_uuid,
    coalesce((x.task ->> 'no_reuse')::boolean, false) as no_reuse,
    coalesce(x.task ->> 'share', 'visible') as share, x.sequence, x.qsequence, x.progress, x.reused_from, nullif(x.reason, '') as failed_because, x.root,
    x.task::text as task, x.parameters, n.said
from (
    select
        j.root as uuid, j.root, j.owner as owner_uuid, null::text as parent_job_uuid, j.created_at, j.started_at,
        j.finished_at, j.output, j.log, concat_ws(': ', nullif(j.reason, ''), nullif(j.detail, '')) as reason,
        case j.state
            when 'queued' then 'Queued' when 'complete' then 'Complete' when 'failed' then 'Failed'
            when 'cancelled' then 'Cancelled' else 'Running'
        end as state,
        replace(j.spec, '\u0000', '\ufffd')::json -> 'task' as task, j.spec as parameters,
        coalesce(f.is_pure, false) as is_pure, coalesce(f.ineligible, '') as ineligible, ''::text as created_by,
        null::bigint as sequence, null::bigint as qsequence, null::double precision as progress,
        null::text as reused_from, j.priority
    from rm.jobs j
    left join rm.job_tasks f on f.root = j.root and f.qsequence = 0 and f.created_by = '' and f.created_at is not null
    where j.created_at is not null
    union all
    select
        t.task, t.root, j.owner, t.root, t.created_at, t.started_at, t.finished_at, coalesce(w.said ->> 'output', t.output), t.log,
        concat_ws(': ', nullif(t.reason, ''), nullif(t.detail, '')),
        case
            when t.state in ('todo', 'claimed') then 'Queued' when t.state = 'running' then 'Running'
            when t.state in ('complete', 'copied') then 'Complete' when t.state = 'failed' then 'Failed' else 'Cancelled'
        end,
        replace(t.spec, '\u0000', '\ufffd')::json, t.spec, t.is_pure, t.ineligible, t.created_by, t.sequence,
        t.qsequence,
        case
            when t.state in ('complete', 'copied') then 1
            else greatest(t.progress / 1000.0, (w.said ->> 'progress')::double precision)
        end,
        case when exists (
            select from rm.job_tasks s join rm.jobs k on k.root = s.root
            where s.task = t.source and (%(everything)s or k.owner = any(%(owners)s))
        ) then t.source end,
        j.priority
    from rm.job_tasks t
    join rm.jobs j on j.root = t.root
    left join api.reports w on w.task = t.task and w.token = t.running_token and t.state = 'running'
    where t.created_at is not null and j.created_at is not null
        and (t.root = any(%(own)s) or t.root not in (select n.uuid from api.notes n where n.is_deleted))
) x
left join lateral (
    select o.submit_id, o.said, o.changed_at, o.is_deleted, o.said::json as note from api.notes o where o.uuid = x.uuid
) n on true
where (%(everything)s or x.owner_uuid = any(%(owners)s)) and (n.is_deleted is not true or x.uuid = any(%(own)s))

-- name: job_tasks
select
    t.task as uuid, j.owner as owner_uuid, t.created_at, null::text as modified_by_client_uuid,
    j.owner as modified_by_user_uuid, t.changed_at as modified_at,
    t.root as job_uuid, nullif(t.created_by, '') as created_by_job_task_uuid, t.sequence, t.qsequence,
    nullif(coalesce(w.said ->> 'output', t.output), '') as output,
    case
        when t.state in ('complete', 'copied') then 1
        else greatest(t.progress / 1000.0, (w.said ->> 'progress')::double precision)
    end::double precision as progress,
    case
        when t.state in ('complete', 'copied') then true when t.state in ('failed', 'cancelled') then false
        else (w.said ->> 'success')::boolean
    end as success,
    t.started_at, t.finished_at, t.is_pure, nullif(t.ineligible, '') as not_reusable_because, t.state,
    case when exists (
        select from rm.job_tasks s join rm.jobs k on k.root = s.root
        where s.task = t.source and (%(everything)s or k.owner = any(%(owners)s))
    ) then t.source end as reused_from,
    nullif(t.source_started_at, 0) as source_started_at, nullif(t.source_finished_at, 0) as source_finished_at,
    nullif(concat_ws(': ', nullif(t.reason, ''), nullif(t.detail, '')), '') as failed_because, t.spec as task,
    t.running_token, t.fingerprint
from rm.job_tasks t
join rm.jobs j on j.root = t.root
left join api.reports w on w.task = t.task and w.token = t.running_token and t.state = 'running'
where t.created_at is not null and j.created_at is not null and (%(everything)s or j.owner = any(%(owners)s))
    and (t.task = any(%(own)s) or t.task not in (select n.uuid from api.notes n where n.is_deleted))
    and (j.root = any(%(own)s) or j.root not in (select n.uuid from api.notes n where n.is_deleted))

-- name: repositories
select
    p.uuid, p.owner_uuid, p.created_at, null::text as modified_by_client_uuid, p.owner_uuid as modified_by_user_uuid,
    p.created_at as modified_at, p.name
from api.repositories p
where %(everything)s or p.owner_uuid = any(%(owners)s) or p.owner_uuid = ''

-- name: logs
-- What clients wrote, and what happened to jobs. The words of these are made by gateway/api/complete.py from the columns at
-- the end. Left out is `redecided`: it would speak of another's work to who may not know of it any more. `id` grows with
-- time, for who asks what is new: listing.py knows how.
select
    w.uuid, w.owner_uuid, w.created_at, null::text as modified_by_client_uuid, w.owner_uuid as modified_by_user_uuid,
    w.created_at as modified_at, w.created_at * 1024 + (hashtext(w.uuid) & 1023) as id, w.event_at, w.event_type,
    w.object_uuid, w.object_owner_uuid,
    case split_part(w.object_uuid, '-', 2)
        when '8i9sb' then 'arvados#job' when '4zz18' then 'arvados#collection' when 'tpzed' then 'arvados#user'
        when 'j7d0g' then 'arvados#group' when 's0uqq' then 'arvados#repository' when 'o0j2j' then 'arvados#link'
    end as object_kind,
    w.summary, w.properties, null::text as kind, ''::text as subject, ''::text as token, ''::text as other,
    0::bigint as number, ''::text as detail
from api.logs w
where %(everything)s or w.owner_uuid = any(%(owners)s) or w.object_owner_uuid = any(%(owners)s)
union all
select
    rm.log_uuid(l.root, l.position) as uuid, j.owner as owner_uuid, l.said_at as created_at,
    null::text as modified_by_client_uuid, j.owner as modified_by_user_uuid, l.said_at as modified_at,
    l.said_at * 1024 + (hashtext(rm.log_uuid(l.root, l.position)) & 1023) as id, l.said_at as event_at,
    case when l.task <> '' or l.kind = 'impure' then 'stderr' when l.kind = 'queued' then 'create' else 'update' end as event_type,
    l.root as object_uuid, j.owner as object_owner_uuid,
    case split_part(l.root, '-', 2) when '8i9sb' then 'arvados#job' end as object_kind,
    case
        when l.task <> '' then l.kind when l.kind = 'queued' then 'create of ' || l.root else 'update of ' || l.root
    end as summary,
    null::text as properties, l.kind, coalesce(nullif(t.name, ''), l.task) as subject, l.token, l.other, l.number, l.detail
from rm.job_log l
join rm.jobs j using (root)
left join rm.job_tasks t on t.root = l.root and t.task = l.task
where l.kind <> 'redecided' and (
    %(everything)s or j.owner = any(%(owners)s)
    and exists (select from rm.jobs o where o.owner = any(%(owners)s))  -- else all lines would be looked through for none
)
    and l.root not in (select n.uuid from api.notes n where n.is_deleted)

-- name: task_counts
-- From what is counted as it happens: a job may have tens of thousands of tasks, of which few run.
select x.root, x.created - x.done - x.failed - x.running as todo, x.running, x.done, x.failed
from (
    select
        h.root, sum(h.created)::bigint as created, sum(h.executed + h.copied)::bigint as done,
        sum(h.failed + h.cancelled)::bigint as failed,
        (
            select count(*) from rm.job_tasks t
            where t.root = h.root and t.state = 'running' and t.created_at is not null
        ) as running
    from rm.hours h
    where h.root = any(%(roots)s)
    group by h.root
) x

-- name: queue_size
select count(*) from rm.jobs j
where j.state = 'queued' and j.created_at is not null and (%(everything)s or j.owner = any(%(owners)s))

-- name: is_used
select 1 from rm.jobs j where j.root = %(uuid)s

-- name: images_named
select distinct x.image
from (
    select x.task ->> 'image' as image, x.task ->> 'image_name' as name
    from (
        select replace(j.spec, '\u0000', '\ufffd')::json -> 'task' as task
        from rm.jobs j
        where j.spec is not null and (%(everything)s or j.owner = any(%(owners)s))
    ) x
) x
where x.image <> '' and (x.image = %(name)s or x.name = %(name)s or regexp_replace(x.name, ':[^:/]*$', '') = %(name)s)
