"""The one table of what the API has: resources, their attributes and methods. Discovery, filters and checks read it."""

from functools import cached_property
from typing import Literal

import msgspec

Kind = Literal["string", "text", "integer", "float", "boolean", "datetime", "hash", "array"]
NESTED = ("hash", "array")  # kinds that no filter or order can compare
ON_ONE = ("get", "update", "delete")  # methods of one object, by uuid


class Attribute(msgspec.Struct, frozen=True):
    """One attribute. `write`: when a client may say what it is: `create`, `update`, `both`, or never (`no`)."""

    name: str
    kind: Kind
    about: str
    write: Literal["no", "create", "update", "both"] = "no"
    is_nullable: bool = True


class Method(msgspec.Struct, frozen=True):
    """One method: HTTP verb, path below the resource (`{uuid}` is the object's), and whether it takes a body."""

    name: str
    verb: str
    path: str = ""
    body: bool = False
    about: str = ""
    parameters: tuple[str, ...] = ()


class Resource(msgspec.Struct, frozen=True, dict=True):
    """A resource. `name`: as in paths; `singular`: as in bodies; `schema`: its class; `infix`: middle of its uuids.

    `flags`: of a creation, which may also stand in the object that a body wraps. `kept`: attributes that are what its
    clients say, and nothing depends on. `is_strict`: what can't be set is refused (refusals.py), not passed over.
    """

    name: str
    singular: str
    schema: str
    infix: str
    about: str
    attributes: tuple[Attribute, ...]
    methods: tuple[Method, ...]
    flags: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    is_strict: bool = False

    @property
    def kind(self) -> str:
        """What `kind` says in each object."""
        return f"arvados#{self.schema[0].lower()}{self.schema[1:]}"

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Its attributes' names."""
        return tuple(one.name for one in self.attributes)

    @cached_property
    def times(self) -> tuple[str, ...]:
        """Names of those that are times."""
        return tuple(one.name for one in self.attributes if one.kind == "datetime")

    @cached_property
    def nested(self) -> tuple[str, ...]:
        """Names of those that are objects or arrays."""
        return tuple(one.name for one in self.attributes if one.kind in NESTED)

    def attribute(self, name: str) -> Attribute | None:
        """The attribute of this name."""
        return next((one for one in self.attributes if one.name == name), None)

    def method(self, name: str) -> Method | None:
        """The method of this name."""
        return next((one for one in self.methods if one.name == name), None)


_LISTS = ("filters", "where", "order", "select", "limit", "offset", "count")
GET = Method("get", "GET", "/{uuid}", about="one object, by uuid", parameters=("select",))
LIST = Method("list", "GET", about="objects that the caller may read", parameters=_LISTS)
INDEX = Method("index", "GET", about="the same as list", parameters=_LISTS)
CREATE = Method("create", "POST", body=True, about="make one", parameters=("ensure_unique_name", "select"))
UPDATE = Method("update", "PUT", "/{uuid}", body=True, about="change attributes", parameters=("select",))
DELETE = Method("delete", "DELETE", "/{uuid}", about="remove it; returns what it was")
EXPLAIN = Method(
    "explain", "GET", "/{uuid}/explain", about="why it ran, waited or was given an output", parameters=("diff",)
)
READ = (GET, LIST, INDEX)
_FINDS = ("find_or_create", "filters", "minimum_script_version", "exclude_script_versions")
_ASKED = ("script", "script_version", "repository", "script_parameters", "runtime_constraints", *_FINDS[1:])
CREATE_JOB = Method("create", "POST", body=True, about="ask for one, or find it", parameters=(*_FINDS, "select"))

COMMON = (  # what of these can't be set is passed over by all: clients send back what they have read
    Attribute("uuid", "string", "names the object for ever", is_nullable=False),
    Attribute("owner_uuid", "string", "user or group it belongs to; who reads the owner reads the object", "create"),
    Attribute("created_at", "datetime", "when it was made"),
    Attribute("modified_by_client_uuid", "string", "always null"),
    Attribute("modified_by_user_uuid", "string", "who changed it last"),
    Attribute("modified_at", "datetime", "when it changed last"),
)


def _purity(about: str) -> Attribute:
    rule = "not null, false unless given; true from creation only, later only to false"
    return Attribute("is_pure", "boolean", f"{about}; {rule}", "both", is_nullable=False)


USERS = Resource(
    "users", "user", "User", "tpzed", "Who asks for work.",
    (
        *COMMON,
        Attribute("username", "string", "login name, unique", "create"),
        Attribute("email", "string", "always null: not known here"),
        Attribute("full_name", "string", "the login name"),
        Attribute("first_name", "string", "the login name"),
        Attribute("last_name", "string", "empty"),
        Attribute("is_active", "boolean", "an inactive user's tokens open nothing; an admin says", "both"),
        Attribute("is_admin", "boolean", "may read everything; an admin says", "both"),
        Attribute("prefs", "hash", "always empty"),
    ),
    (*READ, CREATE, UPDATE, Method("current", "GET", "/current", about="the user whose token this is")),
)  # fmt: skip

GROUPS = Resource(
    "groups", "group", "Group", "j7d0g", "What a group owns, its readers may see.",
    (
        *COMMON,
        Attribute("name", "string", "label for people", "both"),
        Attribute("description", "text", "always null"),
        Attribute("group_class", "string", "always `project`: it owns things", "create"),
    ),
    (*READ, CREATE, UPDATE),
)  # fmt: skip

LINKS = Resource(
    "links", "link", "Link", "o0j2j", "Read grants, as Arvados' permission links.",
    (
        *COMMON,
        Attribute("link_class", "string", "always `permission`", "create"),
        Attribute("name", "string", "always `can_read`", "create"),
        Attribute("tail_uuid", "string", "user or group that may read", "create"),
        Attribute("head_uuid", "string", "user or group whose things may be read", "create"),
        Attribute("properties", "hash", "always empty", "create"),
    ),
    (*READ, CREATE, DELETE),
)  # fmt: skip

COLLECTIONS = Resource(
    "collections", "collection", "Collection", "4zz18", "A name whose content may change; by its hash, content.",
    (
        *COMMON,
        Attribute("name", "string", "unique among its owner's, or null", "both"),
        Attribute("description", "text", "for people", "both"),
        Attribute("properties", "hash", "anything", "both"),
        Attribute("portable_data_hash", "string", "names the content", "create"),
        Attribute("manifest_text", "text", "the files and where their data is, signed for the caller", "both"),
        Attribute("unsigned_manifest_text", "text", "the same without signatures; only where it is selected"),
        Attribute("file_count", "integer", "number of files"),
        Attribute("file_size_total", "integer", "bytes of all files"),
        Attribute("replication_desired", "integer", "always null", "both"),
        Attribute("replication_confirmed", "integer", "always null"),
        Attribute("replication_confirmed_at", "datetime", "always null"),
        Attribute("storage_classes_desired", "array", "always `default`", "both"),
        Attribute("storage_classes_confirmed", "array", "always `default`"),
        Attribute("storage_classes_confirmed_at", "datetime", "always null"),
        Attribute("delete_at", "datetime", "always null"),
        Attribute("trash_at", "datetime", "always null"),
        Attribute("is_trashed", "boolean", "always false"),
        Attribute("version", "integer", "always 1"),
        Attribute("preserve_version", "boolean", "always false", "both"),
        Attribute("current_version_uuid", "string", "the same as uuid"),
    ),
    (*READ, CREATE, UPDATE, DELETE),
)  # fmt: skip

KEEP_SERVICES = Resource(
    "keep_services", "keep_service", "KeepService", "bi6l4", "Where blocks are stored and read.",
    (
        Attribute("uuid", "string", "names the service"),
        Attribute("service_host", "string", "host name"),
        Attribute("service_port", "integer", "port"),
        Attribute("service_ssl_flag", "boolean", "whether it speaks TLS"),
        Attribute("service_type", "string", "always `proxy`"),
        Attribute("read_only", "boolean", "always false"),
    ),
    (LIST, Method("accessible", "GET", "/accessible", about="the services that the caller can reach")),
)  # fmt: skip

JOBS = Resource(
    "jobs", "job", "Job", "8i9sb", "A user asked for an output. Tasks are jobs with a parent.",
    (
        *COMMON,
        Attribute("parent_job_uuid", "string", "null: dispatched by itself; else a task of that job", "create"),
        Attribute("submit_id", "string", "unique, the client's own", "create"),
        Attribute("script", "string", "path of the program below crunch_scripts/", "create"),
        Attribute("script_version", "string", "commit; a branch or tag is resolved when the job is made", "create"),
        Attribute("supplied_script_version", "string", "script_version as it was given"),
        Attribute("repository", "string", "name of a git repository", "create"),
        Attribute("script_parameters", "hash", "what the job's tasks may name in job_parameters", "create"),
        Attribute("runtime_constraints", "hash", "docker_image, min_cores_per_node, min_ram_mb_per_node", "create"),
        Attribute("docker_image_locator", "string", "digest of the image; null: the node's own environment"),
        Attribute("arvados_sdk_version", "string", "always null"),
        Attribute("state", "string", "Queued, Running, Complete, Failed or Cancelled", "update"),
        Attribute("running", "boolean", "state is Running; true asks for that state", "update"),
        Attribute("success", "boolean", "null until it has ended; true asks for Complete, false for Failed", "update"),
        Attribute("started_at", "datetime", "when its first task started"),
        Attribute("finished_at", "datetime", "when it was complete or failed"),
        Attribute("cancelled_at", "datetime", "when it was cancelled; any value cancels", "update"),
        Attribute("cancelled_by_client_uuid", "string", "always null"),
        Attribute("cancelled_by_user_uuid", "string", "always null"),
        Attribute("priority", "integer", "higher first, for what no node has yet; a task has its job's", "both"),
        Attribute("nondeterministic", "boolean", "said by its author", "both"),
        Attribute("is_locked_by_uuid", "string", "who locked it"),
        Attribute("output", "string", "portable data hash"),
        Attribute("log", "string", "portable data hash of the log, kept when it ends"),
        Attribute("tasks_summary", "hash", "number of tasks: todo, running, done, failed"),
        Attribute("components", "hash", "anything, as clients say", "both"),
        Attribute("queue_position", "integer", "0 while it is queued"),
        Attribute("node_uuids", "array", "always empty"),
        Attribute("description", "text", "for people", "both"),
        _purity("its first task's output depends on what that names alone"),
        Attribute("job_parameters", "array", "job parameters the task depends on, by name; [\"all\"]: all", "create"),
        Attribute("not_reusable_because", "text", "why a task declared pure can't be reused"),
        Attribute("no_reuse", "boolean", "neither takes outputs of others nor gives its own", "create"),
        Attribute("share", "string", "visible, or by_inputs: given too to who may read all that it names", "create"),
        Attribute("created_by_job_task_uuid", "string", "a task: the one that queued it", "create"),
        Attribute("sequence", "integer", "a task: its level", "create"),
        Attribute("qsequence", "integer", "a task: its rank in its job"),
        Attribute("progress", "float", "a task: from 0 to 1"),
        Attribute("reused_from", "string", "a task: whose output was copied; null where it may not be seen"),
        Attribute("failed_because", "text", "why it failed"),
    ),
    (
        *READ, CREATE_JOB, UPDATE, DELETE,
        EXPLAIN,
        Method("reusable", "GET", "/reusable", about="what find_or_create would give, and why", parameters=_ASKED),
        Method("queue", "GET", "/queue", about="queued jobs, highest priority first", parameters=_LISTS),
        Method("queue_size", "GET", "/queue_size", about="number of queued jobs that the caller may read"),
        Method("cancel", "POST", "/{uuid}/cancel", about="cancel it; again has no effect"),
        Method("lock", "POST", "/{uuid}/lock", about="mark it as the caller's; only while it is queued and nobody's"),
    ),
    flags=("minimum_script_version", "exclude_script_versions"),
    kept=("description", "components"),
    is_strict=True,
)  # fmt: skip

JOB_TASKS = Resource(
    "job_tasks", "job_task", "JobTask", "ot0gb", "A task of a job, in the attributes of Crunch v1.",
    (
        *COMMON,
        Attribute("job_uuid", "string", "its job", "create"),
        Attribute("created_by_job_task_uuid", "string", "the task that queued it", "create"),
        Attribute("sequence", "integer", "level: lower ones end before higher ones begin", "create"),
        Attribute("qsequence", "integer", "rank in its job"),
        Attribute("parameters", "hash", "its own parameters", "create"),
        Attribute("output", "text", "portable data hash; a manifest is taken too", "update"),
        Attribute("progress", "float", "from 0 to 1", "update"),
        Attribute("success", "boolean", "null until it has ended", "update"),
        Attribute("started_at", "datetime", "when it started, or was copied"),
        Attribute("finished_at", "datetime", "when it ended, or was copied"),
        _purity("its output depends on what it names alone"),
        Attribute("job_parameters", "array", "parameters of its job it depends on, by name; [\"all\"]: all", "create"),
        Attribute("not_reusable_because", "text", "why a task declared pure can't be reused"),
        Attribute("state", "string", "todo, claimed, running, complete, copied, failed or cancelled"),
        Attribute("reused_from", "string", "whose output was copied; null where it may not be seen"),
        Attribute("source_started_at", "datetime", "a copy: when the execution started"),
        Attribute("source_finished_at", "datetime", "a copy: when the execution ended"),
        Attribute("failed_because", "text", "why it failed"),
    ),
    (*READ, CREATE, UPDATE, DELETE, EXPLAIN),
    is_strict=True,
)  # fmt: skip

REPOSITORIES = Resource(
    "repositories", "repository", "Repository", "s0uqq", "Git repositories by the name that jobs give.",
    (*COMMON, Attribute("name", "string", "what a job's `repository` says")),
    READ,
)  # fmt: skip

LOGS = Resource(
    "logs", "log", "Log", "57u5n", "What happened to jobs, line by line, and what clients wrote down.",
    (
        *COMMON,
        Attribute("id", "integer", "grows with time: filter by it for what is new"),
        Attribute("event_at", "datetime", "when it happened; now, unless its writer says otherwise", "create"),
        Attribute("event_type", "string", "create, update; stderr: a job's own word; or its writer's", "create"),
        Attribute("object_uuid", "string", "what it is about", "create"),
        Attribute("object_owner_uuid", "string", "whose that is; who reads them reads the line"),
        Attribute("object_kind", "string", "class of the object, where it is known"),
        Attribute("summary", "text", "in a few words", "create"),
        Attribute("properties", "hash", "of what the system says: text; of a writer's: anything", "create"),
    ),
    (*READ, CREATE),
)  # fmt: skip

_ALL = (USERS, GROUPS, LINKS, COLLECTIONS, KEEP_SERVICES, REPOSITORIES, JOBS, JOB_TASKS, LOGS)
RESOURCES: dict[str, Resource] = {one.name: one for one in _ALL}
