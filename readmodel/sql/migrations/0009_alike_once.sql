-- What is alike, once for each owner and work: its first task. Which one stays must not depend on the order in which
-- partitions are projected, so that a read model made anew is the same. `work`: of the fingerprint.
create function rm.work_of(fingerprint text) returns bigint
language sql immutable parallel safe
as $$ select ('x' || left(md5(fingerprint), 16))::bit(64)::bigint $$;

drop table rm.alike;
create table rm.alike (
    key bigint not null,
    owner text not null,
    work bigint not null,
    ended_at bigint not null,
    root text not null,
    task text not null,
    primary key (key, owner, work)
);
create index alike_by_key on rm.alike (key, owner, ended_at desc);

insert into rm.alike (key, owner, work, ended_at, root, task)
select k.key, w.owner, rm.work_of(w.fingerprint), w.finished_at, w.root, w.task
from (
    select distinct on (t.fingerprint, j.owner)
        t.root, t.task, t.spec, t.bound, t.fingerprint, t.finished_at, j.owner
    from rm.job_tasks t
    join rm.jobs j using (root)
    where t.state in ('complete', 'copied') and t.is_pure and t.spec is not null and t.finished_at is not null
        and not starts_with(t.fingerprint, 'impure:')
    order by t.fingerprint, j.owner, t.finished_at, t.root, t.task
) w
cross join lateral rm.alike_keys(w.spec, w.bound) k;
