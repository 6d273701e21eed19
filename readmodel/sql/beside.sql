-- Tables beside those that serve (readmodel/beside.py). Projectors hold the lock 1919770977 shared while they write.

-- name: alone
select pg_try_advisory_lock(1919770978)

-- name: hold
select pg_advisory_xact_lock(1919770977)

-- name: take_place
create schema if not exists rm;
alter schema rm rename to rm_former;
alter schema rm_next rename to rm;
select pg_notify('rm', '')

-- name: functions
-- Those whose text still names the schema that they were made in.
select pg_get_functiondef(p.oid) from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where n.nspname = 'rm' and p.prosrc like '%rm_next.%'

-- name: tables
select table_name from information_schema.tables
where table_schema = 'rm' and table_type = 'BASE TABLE' order by table_name

-- name: compare
with ours as (select t::text as row from {ours} t), theirs as (select t::text as row from {theirs} t),
different as (
    (select '-' as sign, row from (select row from ours except all select row from theirs) a)
    union all
    (select '+', row from (select row from theirs except all select row from ours) b)
)
select (select count(*) from different), sign, row from different order by row, sign limit {shown}
