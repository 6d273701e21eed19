-- Who asks for content by its hash may have it if they may read a job or task that made it.
create index jobs_by_output on rm.jobs (output) where output <> '';
create index job_tasks_by_output on rm.job_tasks (output) where output <> '';
create index job_tasks_by_log on rm.job_tasks (log) where log <> '';
