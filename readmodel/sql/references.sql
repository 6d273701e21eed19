-- Content that must stay in the store (readmodel/references.py). Each select names portable data hashes.

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
select distinct content from (
    select unnest(array[j.output, j.log]) as content from rm.jobs j join kept_jobs using (root)
    union all
    select c from rm.jobs j join kept_jobs using (root)
    cross join lateral rm.contents_of((j.spec::json -> 'task')::text, (j.spec::json -> 'parameters')::text) c
    where j.spec is not null
    union all
    select j.spec::json -> 'task' ->> 'code' from rm.jobs j join kept_jobs using (root) where j.spec is not null
    union all
    select unnest(array[t.output, t.log, t.spec::json ->> 'code']) from rm.job_tasks t join kept_jobs using (root)
    union all
    select r.content from rm.reads r join kept_jobs using (root)
    union all
    select unnest(array[e.output, e.log]) from rm.tasks e where e.status in ('granted', 'running', 'done')
    union all
    select unnest(array[d.earlier_output, d.later_output]) from rm.disagreements d
    union all
    select r.content from rm.tasks e join rm.reads r using (root, task) where e.status in ('granted', 'running')
    union all
    select t.spec::json ->> 'code' from rm.tasks e join rm.job_tasks t using (root, task)
    where e.status in ('granted', 'running') and t.spec is not null
    union all
    select r.content from below b join rm.reads r using (root, task)
    union all
    select t.spec::json ->> 'code' from below b join rm.job_tasks t using (root, task) where t.spec is not null
    union all
    select w.said ->> 'output' from api.reports w join rm.tasks e using (token) where e.status in ('granted', 'running')
    union all
    select c.portable_data_hash from api.collections c
) named
where content ~ '^[0-9a-f]{32}\+[0-9]+$'

-- name: oldest_grant
select min(granted_at) as granted_at from rm.tasks where status in ('granted', 'running')

-- name: projected
select partition, next_offset from rm.applied order by partition
