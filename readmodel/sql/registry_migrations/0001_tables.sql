-- What the API keeps for itself. Nothing here decides what runs or who is given what, so it is no part of the log; and
-- unlike the read model it can't be made again from it. Times are milliseconds since 1970.

-- `digest`: SHA-256 of the token, hexadecimal; the token itself is nowhere. `scopes`: JSON array, as Arvados' own.
create table api.tokens (
    uuid text primary key,
    digest text not null unique,
    user_uuid text not null,
    label text not null default '',
    scopes text not null,
    created_at bigint not null,
    expires_at bigint,
    revoked_at bigint
);

-- Keys that every API process on this database shares.
create table api.keys (
    name text primary key,
    secret bytea not null
);

-- Collections by uuid: a name whose content may change. The content is in the store, named by its hash.
create table api.collections (
    uuid text primary key,
    owner_uuid text not null,
    name text,
    description text,
    properties text not null default '{}',
    portable_data_hash text not null,
    file_count bigint not null,
    file_size_total bigint not null,
    created_at bigint not null,
    modified_at bigint not null,
    modified_by_user_uuid text not null
);
create unique index collections_by_name on api.collections (owner_uuid, name) where name is not null;
create index collections_by_hash on api.collections (portable_data_hash);

-- Manifests in parameters that somebody who may read what this owner may has proved to be allowed to read.
create table api.proofs (
    portable_data_hash text not null,
    owner_uuid text not null,
    primary key (portable_data_hash, owner_uuid)
);

-- Git repositories by the name that jobs give. `location` is a path or URL, and is shown to nobody.
create table api.repositories (
    uuid text primary key,
    name text not null unique,
    owner_uuid text not null default '',  -- empty: everybody's
    location text not null,
    created_at bigint not null
);

-- What a client said of a job or task that no decision depends on: `said` is a JSON object.
create table api.notes (
    uuid text primary key,
    submit_id text unique,
    said text not null default '{}',
    is_deleted boolean not null default false,
    changed_at bigint not null
);
