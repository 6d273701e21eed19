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
