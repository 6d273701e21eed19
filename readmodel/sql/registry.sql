-- What the API keeps for itself (readmodel/registry.py).

-- name: token_of
select uuid, user_uuid, label, scopes, created_at, expires_at, revoked_at from api.tokens where digest = %(digest)s

-- name: token_shown
-- With how far the settings are projected, by which the API knows whether what it remembers of people still holds: that
-- too for a token that nobody has, so that it costs no more than a good one.
select
    t.uuid, t.user_uuid, t.label, t.scopes, t.created_at, t.expires_at, t.revoked_at,
    m.cause_offset || '.' || m.cause_index as settings_mark
from (select 1) once
left join api.tokens t on t.digest = %(digest)s
left join rm.marks m on m.partition = 0 and m.source_log_id = %(settings)s

-- name: token_named
select uuid, user_uuid, label, scopes, created_at, expires_at, revoked_at from api.tokens where uuid = %(uuid)s

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

-- name: end_session
-- Those that are over by themselves need not be remembered.
with over as (delete from api.ended_sessions where until < %(now)s)
insert into api.ended_sessions (digest, until) values (%(digest)s, %(until)s) on conflict do nothing

-- name: ended_session
select 1 as ended from api.ended_sessions where digest = %(digest)s

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

-- name: note
-- Adds to what was said before.
insert into api.notes as n (uuid, said, changed_at) values (%(uuid)s, %(said)s, %(now)s)
on conflict (uuid) do update set
    said = (n.said::jsonb || excluded.said::jsonb)::text, changed_at = excluded.changed_at

-- name: note_new
-- Of a job that is about to be asked for. `unanswered`: whether there is one is not known yet.
insert into api.notes as n (uuid, submit_id, said, changed_at)
values (
    %(uuid)s, %(submit_id)s,
    case when %(submit_id)s::text is null then %(said)s
        else (%(said)s::jsonb || '{"unanswered": true}'::jsonb)::text end,
    %(now)s
)
-- What was said before stays; what was not said is added: `nondeterministic` must not be lost.
on conflict (uuid) do update set said = (excluded.said::jsonb || n.said::jsonb)::text

-- name: drop_unanswered
-- Of a job that was refused.
delete from api.notes n where n.uuid = %(uuid)s and n.said::jsonb ? 'unanswered'
    and not exists (select from rm.jobs j where j.root = n.uuid)

-- name: note_answered
update api.notes set said = (said::jsonb - 'unanswered')::text
where uuid = %(uuid)s and said::jsonb ? 'unanswered'

-- name: free_submit_id
update api.notes n set submit_id = null
where n.submit_id = %(submit_id)s and n.uuid <> %(uuid)s and n.changed_at < %(before)s and n.said::jsonb ? 'unanswered'
    and not exists (select from rm.jobs j where j.root = n.uuid)

-- name: submit_id_taken
select 1 as taken from api.notes where submit_id = %(submit_id)s and uuid <> %(uuid)s

-- name: lock
-- Whoever is first has it.
insert into api.notes as n (uuid, said, changed_at) values (%(uuid)s, %(said)s, %(now)s)
on conflict (uuid) do update set
    said = (n.said::jsonb || excluded.said::jsonb)::text, changed_at = excluded.changed_at
    where n.said::jsonb ->> 'is_locked_by_uuid' is null
returning uuid

-- name: delete_noted
insert into api.notes (uuid, is_deleted, changed_at) values (%(uuid)s, true, %(now)s)
on conflict (uuid) do update set is_deleted = true, changed_at = excluded.changed_at

-- name: add_repository
insert into api.repositories (uuid, name, owner_uuid, location, created_at)
values (%(uuid)s, %(name)s, %(owner_uuid)s, %(location)s, %(now)s)
on conflict (name) do update set location = excluded.location, owner_uuid = excluded.owner_uuid

-- name: repository
select location from api.repositories
where name = %(name)s and (%(everything)s or owner_uuid = any(%(owners)s) or owner_uuid = '')

-- name: repositories
select uuid, name, owner_uuid, location from api.repositories order by name

-- name: drop_repository
delete from api.repositories where name = %(name)s returning uuid

-- name: execution
-- Its credentials are those of whom it was granted to, also when it goes on for a task of another.
select e.grantee, e.fingerprint, t.spec, t.bound, t.is_pure and not e.is_impure as is_pure
from rm.tasks e
join rm.job_tasks t on t.root = %(job)s and t.task = %(task)s and t.fingerprint = e.fingerprint
where e.token = %(token)s and e.status in ('granted', 'running') and e.grantee <> '' and t.spec is not null

-- name: add_proof
insert into api.proofs (portable_data_hash, owner_uuid) values (%(pdh)s, %(owner_uuid)s) on conflict do nothing

-- name: proved
select distinct portable_data_hash from api.proofs
where portable_data_hash = any(%(hashes)s) and (%(everything)s or owner_uuid = any(%(owners)s))

-- name: add_part
insert into api.parts (portable_data_hash, whole) values (%(pdh)s, %(whole)s) on conflict do nothing

-- name: wholes
select whole from api.parts where portable_data_hash = %(pdh)s order by whole limit 1000

-- name: add_log
insert into api.logs (
    uuid, owner_uuid, created_at, event_at, event_type, object_uuid, object_owner_uuid, summary, properties
)
values (
    %(uuid)s, %(owner_uuid)s, %(now)s, %(event_at)s, %(event_type)s, %(object_uuid)s, %(object_owner_uuid)s, %(summary)s,
    %(properties)s
)
on conflict (uuid) do nothing

-- name: mark
insert into api.marks (root, task, reason, marked_by, marked_at)
values (%(root)s, %(task)s, %(reason)s, %(marked_by)s, %(now)s)
on conflict do nothing

-- name: marks_of
select m.reason, coalesce(u.name, m.marked_by) as marked_by, m.marked_at
from api.marks m
left join rm.users u on u.uuid = m.marked_by
where m.root = %(root)s and m.task = %(task)s
order by m.marked_at

-- name: add_report
-- What an earlier attempt said counts no more.
insert into api.reports as r (task, token, said) values (%(task)s, %(token)s, %(said)s::jsonb)
on conflict (task) do update set
    said = case when r.token = excluded.token then r.said || excluded.said else excluded.said end, token = excluded.token

-- name: alone
select pg_advisory_xact_lock(hashtextextended(%(name)s, 0))
