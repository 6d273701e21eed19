-- The lines of all jobs as one list, newest first or since a moment, and one of them by its uuid, which nothing else holds.
create function rm.log_uuid(root text, place bigint) returns text
language sql immutable parallel safe
as $$ select left(root, 5) || '-57u5n-' || left(md5(root || ' ' || place::text), 15) $$;

create index job_log_by_time on rm.job_log (said_at);
create index job_log_by_uuid on rm.job_log using hash (rm.log_uuid(root, position));
