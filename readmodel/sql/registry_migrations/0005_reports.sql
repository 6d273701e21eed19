-- What a running task said of itself through the API, so that who wrote it reads it at once: the log's own word comes by
-- way of another machine. It counts while the task runs under this token, and decides nothing.
create table api.reports (
    task text primary key,
    token text not null,
    said jsonb not null
);
