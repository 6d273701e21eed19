-- What an operator said of tasks that have, or were made from, an output that is wrong.
create table api.marks (
    root text not null,
    task text not null,
    reason text not null,
    marked_by text not null,
    marked_at bigint not null,
    primary key (root, task, marked_at)
);
create index marks_by_task on api.marks (task);
