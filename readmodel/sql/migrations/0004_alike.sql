-- Work that is alike: for each owner's finished pure work one row for each component of the fingerprint, under a key of
-- all the others. So what differs in one component alone is found by one look into the index, among any number of tasks.
-- An owner's further copies of the same work add nothing.
create table rm.alike (
    key bigint not null,
    owner text not null,
    ended_at bigint not null,
    root text not null,
    task text not null
);
create index alike_by_key on rm.alike (key, owner, ended_at desc);

-- `left_out`: the component that the key leaves out. Two keys are of one thing alone, for work that differs in more:
-- the program, and the inputs.
create function rm.alike_keys(spec text, bound text) returns table (left_out text, key bigint)
language sql immutable parallel safe
as $$
    with part (name, value) as (
        select c.key, c.value from json_each_text(spec::json -> 'components') c
        union all
        select 'job_parameters', coalesce(bound, '{}')::jsonb::text
    ),
    program (name, value) as (
        select 'program', coalesce(nullif(spec::json ->> 'script', ''), spec::json -> 'components' ->> 'script')
    ),
    kept (left_out, name, value) as (
        select o.name, p.name, p.value from part o join part p on p.name <> o.name
        union all
        select 'all but program', program.name, program.value from program
        union all
        select 'all but inputs', p.name, p.value from part p where p.name = 'inputs'
    )
    select k.left_out, ('x' || left(md5(k.left_out || ':' || string_agg(k.name || '=' || k.value, ' ' order by k.name)), 16))::bit(64)::bigint
    from kept k
    group by k.left_out
$$;

insert into rm.alike (key, owner, ended_at, root, task)
select k.key, w.owner, w.finished_at, w.root, w.task
from (
    select distinct on (t.fingerprint, j.owner) t.root, t.task, t.spec, t.bound, t.finished_at, j.owner
    from rm.job_tasks t
    join rm.jobs j using (root)
    where t.state in ('complete', 'copied') and t.is_pure and t.spec is not null and t.finished_at is not null
        and not starts_with(t.fingerprint, 'impure:')
    order by t.fingerprint, j.owner, t.finished_at desc
) w
cross join lateral rm.alike_keys(w.spec, w.bound) k;

alter table rm.job_tasks drop column script_digest, drop column inputs_digest, drop column parameters_digest;

-- From when on the rules of a version decide.
create table rm.rules (
    version bigint primary key,
    since bigint not null
);
