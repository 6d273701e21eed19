"""The tables of an Arvados 1.3.3 database that `migrate` reads, with all the columns they have there.

Names and types are what its API documents, and what a database of that release answers; the statements are ours.
In a table's columns `s` is a string of up to 255 characters and `d` one of up to 524,288, `t` text, `i` an integer, `b`
a boolean, `f` a float, `m` a moment without a zone, `j` JSON; `!` after a name: never null.
"""

from collections.abc import Iterator

TYPES = {
    "s": "varchar(255)",
    "d": "varchar(524288)",
    "t": "text",
    "i": "integer",
    "b": "boolean",
    "f": "double precision",
    "m": "timestamp",
    "j": "jsonb",
}
EVERYWHERE = {"s": "uuid modified_by_client_uuid modified_by_user_uuid", "m": "created_at! updated_at! modified_at"}
DEFAULTS = {"is_trashed": "false", "is_active": "false", "priority": "0", "version": "1", "preserve_version": "false"}
TABLES = {
    "jobs": {
        "s": "owner_uuid submit_id script script_version supplied_script_version repository docker_image_locator state"
        " output log is_locked_by_uuid cancelled_by_client_uuid cancelled_by_user_uuid arvados_sdk_version"
        " script_parameters_digest",
        "t": "script_parameters runtime_constraints tasks_summary components",
        "d": "description",
        "m": "started_at finished_at cancelled_at",
        "b": "running success nondeterministic",
        "i": "priority!",
    },
    "job_tasks": {
        "s": "owner_uuid job_uuid created_by_job_task_uuid",
        "t": "parameters output",
        "f": "progress",
        "b": "success",
        "i": "sequence",
        "m": "started_at finished_at",
    },
    "collections": {
        "s": "owner_uuid portable_data_hash name current_version_uuid",
        "t": "manifest_text file_names",
        "d": "description",
        "j": "properties storage_classes_desired storage_classes_confirmed",
        "b": "is_trashed! preserve_version",
        "i": "replication_desired replication_confirmed version!",
        "m": "replication_confirmed_at storage_classes_confirmed_at trash_at delete_at",
    },
    "users": {
        "s": "owner_uuid! email first_name last_name identity_url username default_owner_uuid redirect_to_user_uuid",
        "t": "prefs",
        "b": "is_admin is_active",
    },
    "groups": {
        "s": "owner_uuid name! group_class",
        "d": "description",
        "j": "properties",
        "b": "is_trashed!",
        "m": "trash_at delete_at",
    },
    "links": {"s": "owner_uuid link_class name head_uuid tail_uuid", "j": "properties"},
}


def statements() -> str:
    """SQL that makes them, empty."""
    made = (f"create table {table} ({', '.join(_columns(table))});" for table in TABLES)
    return "\n".join(made)


def _columns(table: str) -> Iterator[str]:
    yield "id serial primary key"
    if table == "job_tasks":
        yield "qsequence bigserial"
    for columns in (EVERYWHERE, TABLES[table]):
        for kind, names in columns.items():
            for name in names.split():
                yield _column(name.removesuffix("!"), TYPES[kind], is_needed=name.endswith("!"))
    yield "unique (uuid)"


def _column(name: str, kind: str, *, is_needed: bool) -> str:
    default = f" default {DEFAULTS[name]}" if name in DEFAULTS else ""
    return f"{name} {kind}{default}{' not null' if is_needed else ''}"
