-- A job's priority where it was changed since it was asked for; null: it is as it was asked.
alter table rm.jobs add column priority bigint;
