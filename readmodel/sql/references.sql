-- Content that must stay in the store (readmodel/references.py). Each select names portable data hashes; `was_here`:
-- the store has had it, for it was written or looked at there. What somebody only wrote down may never have been.

-- name: references
-- Of jobs that were not deleted: all they name and have. Of executions: what runs, and what may still be given.
-- Of the tasks below them, of deleted jobs too: what they would need if they were made anew for a copy.
with recursive kept_jobs (root) as (
    select j.root from rm.jobs j
    where not exists (select from api.notes n where n.uuid = j.root and n.is_deleted)
),
below (root, task) as (
    select c.root, c.task from rm.tasks e join rm.job_tasks c on c.root = e.root and c.created_by = e.task
    where e.status in ('granted', 'running', 'done') and e.task <> ''
        and not exists (select from kept_jobs k where k.root = e.root)
    union
    select c.root, c.task from below b join rm.job_tasks c on c.root = b.root and c.created_by = b.task
)
select content, bool_or(was_here) as was_here from (
    select unnest(array[j.output, j.log]) as content, true as was_here from rm.jobs j join kept_jobs using (root)
    union all
    select c, false from rm.jobs j join kept_jobs using (root)
    cross join lateral rm.contents_of((j.spec::json -> 'task')::text, (j.spec::json -> 'parameters')::text) c
    where j.spec is not null
    union all
    select j.spec::json -> 'task' ->> 'code', true from rm.jobs j join kept_jobs using (root) where j.spec is not null
    union all
    select unnest(array[t.output, t.log, t.spec::json ->> 'code']), true
    from rm.job_tasks t join kept_jobs using (root)
    union all
    select r.content, false from rm.reads r join kept_jobs using (root)
    union all
    select unnest(array[e.output, e.log]), true from rm.tasks e where e.status in ('granted', 'running', 'done')
    union all
    select unnest(array[d.earlier_output, d.later_output]), true from rm.disagreements d
    union all
    select r.content, false from rm.tasks e join rm.reads r using (root, task)
    where e.status in ('granted', 'running')
    union all
    select t.spec::json ->> 'code', true from rm.tasks e join rm.job_tasks t using (root, task)
    where e.status in ('granted', 'running') and t.spec is not null
    union all
    select r.content, false from below b join rm.reads r using (root, task)
    union all
    select t.spec::json ->> 'code', true from below b join rm.job_tasks t using (root, task) where t.spec is not null
    union all
    select w.said ->> 'output', true from api.reports w join rm.tasks e using (token)
    where e.status in ('granted', 'running')
    union all
    select c.portable_data_hash, true from api.collections c
) named
where content ~ '^[0-9a-f]{32}\+[0-9]+$'
group by content

-- Who collects what the store no longer needs is alone with it; those who copy it may be several.
-- name: try_to_collect
select pg_try_advisory_lock(1937010546)

-- name: collect
select pg_advisory_lock(1937010546)

-- name: try_to_copy
select pg_try_advisory_lock_shared(1937010546)

-- name: copy
select pg_advisory_lock_shared(1937010546)

-- name: oldest_grant
select min(granted_at) as granted_at from rm.tasks where status in ('granted', 'running')

-- name: projected
select partition, next_offset from rm.applied order by partition
