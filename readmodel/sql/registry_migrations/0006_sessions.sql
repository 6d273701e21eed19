-- Sessions of pages that were signed out of before they were over. `digest`: SHA-256 of the session's id, hexadecimal.
create table api.ended_sessions (
    digest text primary key,
    until bigint not null
);
