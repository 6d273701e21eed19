"""A cluster of Arvados 1.3.3 as its database has it, in that release's own tables."""

import json
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

from tests.support.arvados_tables import statements

COMMIT = "c0ffee" + "0" * 34
IMAGE_ID = "sha256:" + "1" * 64
OWNER = "zzzzz-tpzed-000000000000ada"
ROOT = "zzzzz-tpzed-000000000000000"
KINDS = {
    "jobs": "arvados#job",
    "job_tasks": "arvados#jobTask",
    "collections": "arvados#collection",
    "users": "arvados#user",
    "groups": "arvados#group",
    "links": "arvados#link",
}
MOMENT = datetime(2015, 3, 1, 12, 0, 0, tzinfo=UTC)
_numbers = count(1)


class Cluster:
    """The database at `dsn`. What is added is what API server and crunch-job would have written."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self._connection = psycopg.connect(dsn, autocommit=True)
        self._connection.execute(statements())

    def close(self) -> None:
        self._connection.close()

    def hang_up(self) -> None:
        """End all connections but our own."""
        others = "datname = current_database() and pid <> pg_backend_pid()"
        self._connection.execute(f"select pg_terminate_backend(pid) from pg_stat_activity where {others}")

    def image(self, pdh: str = "a" * 32 + "+100", name: str = f"{IMAGE_ID}.tar") -> str:
        """A collection that holds an image; its portable data hash."""
        block = "b" * 32 + "+10"
        escaped = name.replace(":", "\\072")
        self._add("collections", portable_data_hash=pdh, manifest_text=f". {block} 0:10:{escaped}\n")
        return pdh

    def job(self, state: str = "Complete", **fields: Any) -> str:
        """A job; its uuid."""
        uuid = self._uuid("8i9sb")
        parameters = fields.pop("script_parameters", {"genome": "hg19"})
        text = parameters if isinstance(parameters, str) else json.dumps(parameters)
        given = {
            "script": "hash.py",
            "script_version": COMMIT,
            "repository": "lab",
            "script_parameters": text,
            "state": state,
            "running": state == "Running",
            "success": {"Complete": True, "Failed": False, "Cancelled": False}.get(state),
            "started_at": MOMENT,
            "finished_at": MOMENT,
            "priority": 0,
            "owner_uuid": OWNER,
        }
        self._add("jobs", uuid=uuid, **(given | fields))
        return uuid

    def task(self, job: str, parameters: Any = None, output: str | None = "", **fields: Any) -> str:
        """A task; its uuid."""
        uuid = self._uuid("ot0gb")
        text = parameters if isinstance(parameters, str) else json.dumps(parameters or {})
        given = {"sequence": 0, "success": True, "progress": 1.0, "started_at": MOMENT, "finished_at": MOMENT}
        given |= {"owner_uuid": OWNER, "parameters": text, "output": output}
        self._add("job_tasks", uuid=uuid, job_uuid=job, **(given | fields))
        return uuid

    def user(self, username: str | None, **fields: Any) -> str:
        """A user; their uuid."""
        uuid = fields.pop("uuid", None) or self._uuid("tpzed")
        given = {"username": username, "is_active": True, "is_admin": False, "owner_uuid": ROOT}
        self._add("users", uuid=uuid, **(given | fields))
        return uuid

    def group(self, owner: str, name: str = "project", **fields: Any) -> str:
        """A group; its uuid."""
        uuid = self._uuid("j7d0g")
        self._add("groups", uuid=uuid, owner_uuid=owner, name=name, **fields)
        return uuid

    def link(self, tail: str, name: str, head: str, link_class: str = "permission") -> None:
        """A link, a permission if nothing else is said."""
        given = {"tail_uuid": tail, "name": name, "head_uuid": head, "link_class": link_class}
        self._add("links", uuid=self._uuid("o0j2j"), owner_uuid=ROOT, **given)

    def rows(self, table: str) -> list[dict[str, Any]]:
        """The rows of a table, as JSON has them."""
        return [row for (row,) in self._connection.execute(f"select row_to_json(t) from {table} t order by id")]  # type: ignore[arg-type]

    def export(self, path: Path) -> Path:
        """All of it as the API would have shown it, one object a line."""
        lines = []
        for table, kind in KINDS.items():
            for row in self.rows(table):
                shown = {name: _parsed(name, value) for name, value in row.items()}
                lines.append(json.dumps(shown | {"kind": kind}))
        path.write_text("\n".join(lines) + "\n")
        return path

    def _uuid(self, infix: str) -> str:
        return f"zzzzz-{infix}-{next(_numbers):015d}"

    def _add(self, table: str, **fields: Any) -> None:
        fields = {"created_at": MOMENT, "updated_at": MOMENT, "modified_at": MOMENT} | fields
        columns, places = ", ".join(fields), ", ".join(["%s"] * len(fields))
        self._connection.execute(f"insert into public.{table} ({columns}) values ({places})", list(fields.values()))  # type: ignore[arg-type]


def _parsed(name: str, value: Any) -> Any:
    is_object = name in ("script_parameters", "parameters") and isinstance(value, str) and value.startswith("{")
    return json.loads(value) if is_object else value
