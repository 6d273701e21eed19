-- What clients wrote into the log of events that people read (`logs`). What the system has to say of jobs is in
-- rm.job_log. `object_owner_uuid`: whose thing it is about, as its writer could see it; null: of nobody that they see.
create table api.logs (
    uuid text primary key,
    owner_uuid text not null,
    created_at bigint not null,
    event_at bigint not null,
    event_type text not null,
    object_uuid text,
    object_owner_uuid text,
    summary text,
    properties text not null default '{}'
);
create index logs_by_object on api.logs (object_uuid, event_at);
create index logs_by_time on api.logs (event_at desc);
