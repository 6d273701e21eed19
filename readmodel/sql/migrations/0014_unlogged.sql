-- A job that was cancelled has a log of its own too; one of another system had it there.
alter table rm.jobs add column is_imported boolean not null default false;
update rm.jobs j set is_imported = true
where exists (select from rm.job_log l where l.root = j.root and l.kind = 'importing');
create index jobs_unlogged on rm.jobs (root) where state = 'cancelled' and log = '' and not is_imported;
