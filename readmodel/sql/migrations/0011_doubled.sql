-- Alerts: executions that were granted although another would have done. There should never be a row.
create table rm.doubled (
    token text primary key,
    fingerprint text not null,
    beside text[] not null,
    live bigint not null,
    told_at bigint not null
);
