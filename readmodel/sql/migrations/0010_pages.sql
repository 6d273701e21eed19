-- What pages look up among a million tasks. A page of what a task queued, and the order of who holds an output, are found
-- in an index alone; copies are found job by job, where the counters say that there are any.
drop index rm.job_tasks_by_parent;
create index job_tasks_by_parent on rm.job_tasks (root, created_by, qsequence, task) where created_at is not null;
drop index rm.job_tasks_by_token;
create index job_tasks_by_token on rm.job_tasks (token, state, finished_at) where token <> '';
drop index rm.job_tasks_by_output;
create index job_tasks_by_output on rm.job_tasks (output, state, finished_at) where output <> '';
drop index rm.job_tasks_copied;
create index job_tasks_copied on rm.job_tasks (root, finished_at desc) where state = 'copied';
create index job_tasks_waiting_longest on rm.job_tasks (waiting_since, root, task) where waiting_on <> '';
create index hours_with_copies on rm.hours (hour desc, root) where copied > 0;
create index jobs_by_state on rm.jobs (state, created_at desc, root);
