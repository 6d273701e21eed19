-- What happened lately, among all that there is: rows stand about in the order of time, so the smallest kind of index will do.
create index job_tasks_lately on rm.job_tasks using brin (changed_at) with (pages_per_range = 32);
create index tasks_lately on rm.tasks using brin (granted_at, ended_at) with (pages_per_range = 32);

-- The keys of one work stand beside each other, so that a copy finds at one look that they are all there.
alter table rm.alike drop constraint alike_pkey, add primary key (owner, work, key);
