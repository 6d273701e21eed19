-- Whom an execution was granted to: its credentials stay theirs, whoever's task it goes on for.
alter table rm.tasks add column grantee text not null default '';
update rm.tasks e set grantee = e.owner
where e.status in ('granted', 'running')
    and not exists (select from rm.job_log l where l.kind = 'promoted' and l.token = e.token);
