-- The read model: what the log says, as people ask for it. Written by the projector alone, from the topic `facts`.
--
-- Times are milliseconds since 1970. `*_at` columns hold append times of facts; those named `source_*` and those of an
-- execution named `node_*` are the executing node's own clock. Empty text means "not said"; null means "not yet".
-- A row may begin with whichever of its facts is projected first: every column has a default, and is overwritten only by
-- later facts of the one source partition that speaks of it. So any interleaving of the facts partitions ends alike.

-- How far each facts partition is projected. Rows and this offset are written in one transaction.
create table rm.applied (
    partition integer primary key,
    log_id text not null,
    next_offset bigint not null
);

-- Highest cause applied, for each facts partition and each partition of another topic whose machine writes to it.
create table rm.marks (
    partition integer not null,
    source_log_id text not null,
    cause_offset bigint not null,
    cause_index bigint not null,
    primary key (partition, source_log_id)
);

-- A user asked for an output.
create table rm.jobs (
    root text primary key,
    owner text not null default '',
    name text not null default '',
    spec text,
    state text not null default 'queued',
    output text not null default '',
    reason text not null default '',
    failed_task text not null default '',
    detail text not null default '',
    task_count bigint not null default 0,
    created_at bigint,
    started_at bigint,
    finished_at bigint
) with (fillfactor = 70);  -- rows are rewritten: room for it on their own page
create index jobs_by_owner on rm.jobs (owner, created_at desc);
create index jobs_by_time on rm.jobs (created_at desc, root);
create index jobs_assembling on rm.jobs (root) where state = 'assembling';

-- A job needs this task for a part of its output. `token` names the row in `tasks` that it got its output from:
-- many job_tasks share one of those. Columns from `decision` on are the claims machine's word, the others the jobs machine's.
create table rm.job_tasks (
    root text not null,
    task text not null,
    created_by text not null default '',
    sequence bigint not null default 0,
    qsequence bigint not null default 0,
    name text not null default '',
    spec text,
    bound text,
    script_digest text not null default '',
    inputs_digest text not null default '',
    parameters_digest text not null default '',
    fingerprint text not null default '',
    is_pure boolean not null default false,
    ineligible text not null default '',
    state text not null default 'todo',
    token text not null default '',
    source text not null default '',
    output text not null default '',
    log text not null default '',
    children bigint not null default 0,
    progress bigint not null default 0,
    reason text not null default '',
    failure text not null default '',
    exit_code bigint not null default -1,
    detail text not null default '',
    source_started_at bigint not null default 0,
    source_finished_at bigint not null default 0,
    created_at bigint,
    started_at bigint,
    finished_at bigint,
    decision text not null default '',
    why text not null default '',
    decided_at bigint,
    attempt bigint not null default 0,
    running_token text not null default '',
    waiting_on text not null default '',
    waiting_kind text not null default '',
    waiting_since bigint,
    waited boolean not null default false,
    primary key (root, task)
) with (fillfactor = 70);  -- rows are rewritten: room for it on their own page
create index job_tasks_by_task on rm.job_tasks (task);
create index job_tasks_by_parent on rm.job_tasks (root, created_by, qsequence);
create index job_tasks_by_fingerprint on rm.job_tasks (fingerprint, created_at);
create index job_tasks_by_token on rm.job_tasks (token) where token <> '';
create index job_tasks_by_script on rm.job_tasks (script_digest, created_at desc);
create index job_tasks_by_inputs on rm.job_tasks (inputs_digest, created_at desc);
create index job_tasks_by_parameters on rm.job_tasks (parameters_digest, created_at desc);

-- A unit of work that happened, or happens, once: an execution. Owner, task and root change when it is promoted;
-- `held_offset` and `held_index` are the cause of the fact that said them last, for these facts stand in several partitions.
create table rm.tasks (
    token text primary key,
    fingerprint text not null,
    owner text not null default '',
    task text not null default '',
    root text not null default '',
    held_offset bigint not null default -1,
    held_index bigint not null default -1,
    attempt bigint not null default 1,
    replaces text not null default '',
    why text not null default '',
    granted_at bigint,
    status text not null default 'granted',
    is_impure boolean not null default false,
    node text not null default '',
    incarnation text not null default '',
    runner text not null default '',
    environment text not null default '',
    exit_code bigint not null default -1,
    failure text not null default '',
    detail text not null default '',
    output text not null default '',
    log text not null default '',
    progress bigint not null default 0,
    access text not null default '',
    node_started_at bigint not null default 0,
    node_finished_at bigint not null default 0,
    running_at bigint,
    ended_at bigint
) with (fillfactor = 70);  -- rows are rewritten: room for it on their own page
create index tasks_by_fingerprint on rm.tasks (fingerprint, granted_at);
create index tasks_by_task on rm.tasks (task) where task <> '';
create index tasks_by_root on rm.tasks (root);

-- Finished executions that others may be given.
create view rm.entries as
select * from rm.tasks where status = 'done' and not is_impure and not starts_with(fingerprint, 'impure:');

-- Fingerprints that an operator, or too many lost nodes, took out of use.
create table rm.claims (
    fingerprint text primary key,
    quarantined boolean not null,
    reason text not null,
    changed_at bigint not null
);

create table rm.disagreements (
    earlier text not null,
    later text not null,
    fingerprint text not null,
    earlier_output text not null,
    later_output text not null,
    told_at bigint not null,
    primary key (earlier, later)
);
create index disagreements_by_fingerprint on rm.disagreements (fingerprint);

-- What became of a command; the command is the record at this offset of the partition with this log id.
create table rm.answers (
    log_id text not null,
    command_offset bigint not null,
    outcome text not null,
    reason text not null,
    about text not null,
    detail text not null,
    answered_at bigint not null,
    partition integer not null,
    position bigint not null,
    primary key (log_id, command_offset)
);
create index answers_by_age on rm.answers (partition, position);

-- A job's own log, as facts; readmodel/story.py makes sentences of them for a reader who may see what they name.
create table rm.job_log (
    root text not null,
    position bigint not null,
    said_at bigint not null,
    kind text not null,
    task text not null default '',
    token text not null default '',
    other text not null default '',
    number bigint not null default 0,
    detail text not null default '',
    primary key (root, position)
);
create index job_log_by_task on rm.job_log (root, task, position);

create table rm.users (
    uuid text primary key,
    name text not null,
    is_admin boolean not null,
    is_active boolean not null
);
create index users_by_name on rm.users (name);

create table rm.groups (
    uuid text primary key,
    name text not null,
    owner text not null
);

create table rm.grants (
    subject text not null,
    object text not null,
    primary key (subject, object)
);

-- The numbers of coordinator/config.py that were set, and `rules_version`.
create table rm.settings (
    name text primary key,
    value bigint not null
);

create table rm.assumed_pure (
    repository text not null,
    script text not null,
    commits text[] not null,
    primary key (repository, script)
);
