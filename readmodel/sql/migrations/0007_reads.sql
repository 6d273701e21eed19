-- What content each task names: where an output went on to, if it should turn out to be wrong. An operator's mark on a
-- task is not kept here but in the API's registry: it can't be made again from the log.
create table rm.reads (
    content text not null,
    root text not null,
    task text not null
);
create index reads_by_content on rm.reads (content);

-- The portable data hashes in a task's inputs, in its parameters and in those of its job that are bound into it.
create function rm.contents_of(spec text, bound text) returns setof text
language sql immutable parallel safe
as $$
    select distinct found[1]
    from regexp_matches(
        concat_ws(' ', (spec::json -> 'inputs')::text, (spec::json -> 'parameters')::text, bound),
        '\m([0-9a-f]{32}\+[0-9]+)', 'g'
    ) found
$$;

insert into rm.reads (content, root, task)
select c, t.root, t.task from rm.job_tasks t cross join lateral rm.contents_of(t.spec, t.bound) c
where t.spec is not null;
