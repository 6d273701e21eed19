-- What the API lists (readmodel/listing.py). Each select is one resource as its viewer may see it, its columns the
-- attributes of gateway/api/schema.py; times in ms since 1970, objects and arrays as JSON text.
-- `everything` and `owners` are the viewer's sight, `viewer` is their uuid.

-- name: users
select
    u.uuid, left(u.uuid, 5) || '-tpzed-000000000000000' as owner_uuid, null::bigint as created_at,
    null::text as modified_by_client_uuid, null::text as modified_by_user_uuid, null::bigint as modified_at,
    u.name as username, null::text as email, u.name as full_name, u.name as first_name, ''::text as last_name,
    u.is_active, u.is_admin, '{}'::text as prefs
from rm.users u
where %(everything)s or u.uuid = any(%(owners)s)

-- name: groups
select
    g.uuid, g.owner as owner_uuid, null::bigint as created_at, null::text as modified_by_client_uuid,
    null::text as modified_by_user_uuid, null::bigint as modified_at, g.name, null::text as description,
    'project'::text as group_class
from rm.groups g
where %(everything)s or g.uuid = any(%(owners)s)

-- name: links
-- A grant is seen by who got it and by who owns what it opens; others need not know of it.
select
    left(l.subject, 5) || '-o0j2j-' || left(md5(l.subject || ' ' || l.object), 15) as uuid,
    l.object as owner_uuid, null::bigint as created_at, null::text as modified_by_client_uuid,
    null::text as modified_by_user_uuid, null::bigint as modified_at,
    'permission'::text as link_class, 'can_read'::text as name, l.subject as tail_uuid, l.object as head_uuid,
    '{}'::text as properties
from rm.grants l
where %(everything)s or l.subject = %(viewer)s or l.object = %(viewer)s
    or exists (select from rm.groups g where g.uuid = l.object and g.owner = %(viewer)s)

-- name: collections
-- What a name means: the manifest itself is in the store.
select
    c.uuid, c.owner_uuid, c.created_at, null::text as modified_by_client_uuid, c.modified_by_user_uuid, c.modified_at,
    c.name, c.description, c.properties, c.portable_data_hash, null::text as manifest_text,
    null::text as unsigned_manifest_text, c.file_count, c.file_size_total, null::bigint as replication_desired,
    null::bigint as replication_confirmed, null::bigint as replication_confirmed_at,
    '["default"]'::text as storage_classes_desired, '["default"]'::text as storage_classes_confirmed,
    null::bigint as storage_classes_confirmed_at, null::bigint as delete_at, null::bigint as trash_at,
    false as is_trashed, 1::bigint as version, false as preserve_version, c.uuid as current_version_uuid
from api.collections c
where %(everything)s or c.owner_uuid = any(%(owners)s)

-- name: is_content_seen
select %(everything)s or exists (
    select from api.collections c where c.portable_data_hash = %(pdh)s and c.owner_uuid = any(%(owners)s)
) or exists (
    select from rm.jobs j where j.output = %(pdh)s and j.owner = any(%(owners)s)
) or exists (
    select from rm.job_tasks t join rm.jobs j using (root)
    where (t.output = %(pdh)s or t.log = %(pdh)s) and j.owner = any(%(owners)s)
) as is_seen
