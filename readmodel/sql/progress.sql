-- How far the projector has come; see readmodel/progress.py.

-- name: share
-- Who makes tables beside these waits for us, and we for them (readmodel/beside.py).
select pg_advisory_xact_lock_shared(1919770977)

-- name: begin_partition
insert into rm.applied (partition, log_id, next_offset) values (%(partition)s, %(log_id)s, 0)
on conflict (partition) do nothing

-- name: positions
select partition, log_id, next_offset, case when digest_before = next_offset then digest else '' end from rm.applied
where %(partitions)s::integer[] is null or partition = any(%(partitions)s)
order by partition for update

-- name: marks
select partition, source_log_id, cause_offset, cause_index from rm.marks
where %(partitions)s::integer[] is null or partition = any(%(partitions)s)

-- name: move_position
update rm.applied set next_offset = %(next_offset)s, as_of = %(as_of)s,
    digest = %(digest)s, digest_before = %(next_offset)s
where partition = %(partition)s

-- name: keep_digest
update rm.applied set digest = %(digest)s, digest_before = next_offset where partition = %(partition)s

-- name: move_mark
insert into rm.marks (partition, source_log_id, cause_offset, cause_index)
values (%(partition)s, %(source_log_id)s, %(cause_offset)s, %(cause_index)s)
on conflict (partition, source_log_id) do update set
    cause_offset = excluded.cause_offset, cause_index = excluded.cause_index

-- name: forget_answers
delete from rm.answers where partition = %(partition)s and position < %(before)s

-- name: notify
select pg_notify('rm', '')
