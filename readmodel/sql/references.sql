-- Content that must stay in the store (readmodel/references.py). Each select names portable data hashes.

-- name: references
-- Of jobs that were not deleted: all they name and have. Of executions: what runs, and what may still be given.
with kept_jobs (root) as (
    select j.root from rm.jobs j
    where not exists (select from api.notes n where n.uuid = j.root and n.is_deleted)
)
select distinct content from (
    select unnest(array[j.output, j.log]) as content from rm.jobs j join kept_jobs using (root)
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
    select c.portable_data_hash from api.collections c
) named
where content ~ '^[0-9a-f]{32}\+[0-9]+$'

-- name: projected
select partition, next_offset from rm.applied order by partition
