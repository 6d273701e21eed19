-- The tasks of a job that run, for its summary: few, whatever their number in all.
create index job_tasks_running on rm.job_tasks (root) where state = 'running';
