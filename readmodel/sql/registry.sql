-- What the API keeps for itself (readmodel/registry.py).

-- name: token_of
select uuid, user_uuid, label, scopes, created_at, expires_at, revoked_at from api.tokens where digest = %(digest)s

-- name: tokens
select uuid, user_uuid, label, scopes, created_at, expires_at, revoked_at from api.tokens order by created_at, uuid

-- name: add_token
insert into api.tokens (uuid, digest, user_uuid, label, scopes, created_at, expires_at)
values (%(uuid)s, %(digest)s, %(user_uuid)s, %(label)s, %(scopes)s, %(created_at)s, %(expires_at)s)
on conflict (digest) do nothing

-- name: revoke_token
update api.tokens set revoked_at = %(now)s where uuid = %(uuid)s and revoked_at is null returning uuid

-- name: make_key
insert into api.keys (name, secret) values (%(name)s, %(secret)s) on conflict (name) do nothing

-- name: key
select secret from api.keys where name = %(name)s

-- name: collection_named
select 1 as taken from api.collections where owner_uuid = %(owner_uuid)s and name = %(name)s and uuid <> %(uuid)s

-- name: add_collection
-- A repeat of one creation finds its own row; a name that was taken meanwhile leaves none.
with added as (
    insert into api.collections (
        uuid, owner_uuid, name, description, properties, portable_data_hash, file_count, file_size_total, created_at,
        modified_at, modified_by_user_uuid
    )
    values (
        %(uuid)s, %(owner_uuid)s, %(name)s, %(description)s, %(properties)s, %(portable_data_hash)s, %(file_count)s,
        %(file_size_total)s, %(created_at)s, %(modified_at)s, %(modified_by_user_uuid)s
    )
    on conflict do nothing
    returning uuid
)
select uuid from added union all select uuid from api.collections where uuid = %(uuid)s

-- name: change_collection
update api.collections set
    name = %(name)s, description = %(description)s, properties = %(properties)s,
    portable_data_hash = %(portable_data_hash)s, file_count = %(file_count)s, file_size_total = %(file_size_total)s,
    modified_at = %(modified_at)s, modified_by_user_uuid = %(modified_by_user_uuid)s
where uuid = %(uuid)s
returning uuid

-- name: drop_collection
delete from api.collections where uuid = %(uuid)s
