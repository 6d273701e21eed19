-- The log in Postgres 15 and later, layout 2.
--
-- A partition's offsets come from its row in log.partitions, which an append keeps locked until it commits. So offsets
-- become visible in their order. A sequence would hand them out without that: offset 7 could be read before offset 6
-- commits, and who read 7 would never look for 6 again. Appends lock their partitions in order of id: no deadlocks.
-- An append is one call in one transaction of its own: a client that freezes holds no lock.

-- name: layout
create schema if not exists log;

create table if not exists log.layout (version integer primary key);

create table if not exists log.partitions (
    id integer generated always as identity primary key,
    topic text not null,
    partition integer not null,
    genesis bytea not null,                     -- value of the first record, kept when that is trimmed
    start_offset bigint not null default 0,     -- lowest offset still there
    end_offset bigint not null default 0,       -- offset that the next record gets
    last_time bigint not null default 0,        -- append time of the newest record, ms since 1970
    unique (topic, partition)
) with (fillfactor = 50);

create table if not exists log.records (
    partition_id integer not null,
    record_offset bigint not null,
    append_time bigint not null,                -- ms since 1970
    key bytea not null,                         -- UTF-8; text would refuse the character NUL
    value bytea not null,
    primary key (partition_id, record_offset)
);

create table if not exists log.floors (
    reader text not null,
    partition_id integer not null references log.partitions,
    floor_offset bigint not null,
    digest text not null,
    log_id text not null,
    primary key (reader, partition_id)
) with (fillfactor = 50);

-- One record per element, in order; returns their offsets. All land or none.
create or replace function log.append(partition_ids integer[], keys bytea[], contents bytea[]) returns bigint[]
language plpgsql as $$
declare
    offsets bigint[];
    now_ms bigint;
    told integer;
begin
    perform from log.partitions where id = any (partition_ids) order by id for update;
    now_ms := floor(extract(epoch from clock_timestamp()) * 1000);  -- after the lock, so that times follow offsets

    with placed as (
        select
            p.id,
            p.end_offset + row_number() over (partition by p.id order by r.rank) - 1 as record_offset,
            greatest(now_ms, p.last_time) as append_time,
            r.key,
            r.value,
            r.rank
        from unnest(partition_ids, keys, contents) with ordinality as r (partition_id, key, value, rank)
        join log.partitions p on p.id = r.partition_id
    ),
    stored as (
        insert into log.records (partition_id, record_offset, append_time, key, value)
        select id, record_offset, append_time, key, value from placed
    )
    select array_agg(record_offset order by rank) into offsets from placed;

    if cardinality(offsets) is distinct from cardinality(partition_ids) then
        raise exception 'append to a partition that does not exist';
    end if;

    with grown as (
        update log.partitions p
        set end_offset = p.end_offset + n.records, last_time = greatest(now_ms, p.last_time)
        from (select id, count(*) as records from unnest(partition_ids) as id group by id) n
        where p.id = n.id
        returning p.id, p.end_offset
    )
    -- A channel for each partition: who waits for one is not woken by all others.
    select count(pg_notify('log_' || id, end_offset::text)) into told from grown;
    return offsets;
end
$$;

-- Its commit is not waited for: the write-ahead log keeps it behind the outputs it speaks of, and a crash of the server
-- that takes it back repeats outputs, which is harmless.
create or replace function log.move_floor(
    of_reader text, of_partition_id integer, to_offset bigint, with_digest text, in_log_id text
) returns void
language plpgsql as $$
begin
    perform set_config('synchronous_commit', 'off', true);
    insert into log.floors as present (reader, partition_id, floor_offset, digest, log_id)
    values (of_reader, of_partition_id, to_offset, with_digest, in_log_id)
    on conflict (reader, partition_id) do update
    set floor_offset = excluded.floor_offset, digest = excluded.digest, log_id = excluded.log_id
    where excluded.floor_offset > present.floor_offset;
end
$$;

-- name: layout_version
select max(version) from log.layout

-- name: layout_exists
select to_regclass('log.layout') is not null

-- name: keep_layout_version
insert into log.layout (version) values (%s) on conflict do nothing

-- name: lock_layout
select pg_advisory_xact_lock(1819240303)

-- name: create_partition
insert into log.partitions (topic, partition, genesis) values (%s, %s, %s) returning id

-- name: partitions
select p.id, p.topic, p.partition, coalesce(r.value, p.genesis)
from log.partitions p
left join log.records r on r.partition_id = p.id and r.record_offset = 0
order by p.id

-- name: append
select log.append(%b, %b, %b)

-- name: read
select p.start_offset, p.end_offset, r.record_offset, r.append_time, r.key, r.value
from log.partitions p
left join lateral (
    select
        record_offset, append_time, key, value,
        sum(octet_length(value)) over (order by record_offset) - octet_length(value) as bytes_before
    from (
        select record_offset, append_time, key, value
        from log.records
        where partition_id = p.id and record_offset >= %(offset)b
        order by record_offset
        limit %(limit)b
    ) n
) r on r.bytes_before < %(bytes)b
where p.id = %(partition_id)b
order by r.record_offset

-- name: bounds
select start_offset, end_offset from log.partitions where id = %b

-- name: ends
select id, end_offset from log.partitions

-- name: trim
with trimmed as (
    update log.partitions
    set start_offset = least(greatest(start_offset, %(before)b), end_offset)
    where id = %(partition_id)b
    returning id, start_offset
)
delete from log.records r using trimmed t where r.partition_id = t.id and r.record_offset < t.start_offset

-- name: floor
select floor_offset, digest, log_id from log.floors where reader = %b and partition_id = %b

-- name: move_floor
select log.move_floor(%b, %b, %b, %b, %b)

-- For traces, where somebody wants them: beside the records, and gone with them.
-- name: beside
create table if not exists log.beside (
    partition_id integer not null,
    record_offset bigint not null,
    carried text not null,
    primary key (partition_id, record_offset),
    foreign key (partition_id, record_offset) references log.records on delete cascade
);

create or replace function log.append_beside(
    partition_ids integer[], keys bytea[], contents bytea[], texts text[]
) returns bigint[]
language plpgsql as $$
declare
    offsets bigint[] := log.append(partition_ids, keys, contents);
begin
    insert into log.beside (partition_id, record_offset, carried)
    select * from unnest(partition_ids, offsets, texts) as beside (partition_id, record_offset, carried)
    where beside.carried <> '';
    return offsets;
end
$$;

-- name: append_beside
select log.append_beside(%b, %b, %b, %b)

-- name: read_beside
select record_offset, carried from log.beside
where partition_id = %b and record_offset between %b and %b
