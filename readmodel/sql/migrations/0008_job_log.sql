-- A job's own log, as a collection.
alter table rm.jobs add column log text not null default '';
create index jobs_by_log on rm.jobs (log) where log <> '';
