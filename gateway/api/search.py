"""What find_or_create looks for: a request's flags and filters as conditions on jobs. The rules are v1's own.

Without filters: the same repository, script and image; the same commit, or one from minimum_script_version to that;
less those of exclude_script_versions. Filters replace all of this, and must speak of repository and script. Two pairs
of operators are theirs alone: `in git` and `not in git` (of script_version) are the two flags; `in docker` and
`not in docker` (of docker_image_locator) take names of images, and mean all that such a name stood for or stands for.
"""

from typing import Any

from coordinator.canonical import BadTask
from gateway.api import filters
from gateway.api.errors import invalid
from gateway.api.request import Call, parsed
from gateway.api.resolver import resolver_of
from gateway.api.schema import JOBS
from gateway.api.service import Caller
from readmodel import listing
from readmodel.listing import Term
from schemas.spec import SCRIPTS, JobSpec, TaskSpec

MOST_NAMES = 100
_GIT = ("in git", "not in git")
_DOCKER = ("in docker", "not in docker")
_REQUIRED = ("repository", "script")


def terms(caller: Caller, call: Call, spec: JobSpec) -> list[Term]:
    """The conditions on a job that may be given for `spec`. ApiError 422, BadTask."""
    given = call.option("filters")
    if given not in (None, "", []):
        return _of_filters(caller, call, given, spec.task)
    task = spec.task
    same = {
        "repository": task.repository,
        "script": task.script.removeprefix(SCRIPTS),
        "docker_image_locator": task.image or None,
    }
    minimum, excluded = _flag(call, "minimum_script_version"), _flag(call, "exclude_script_versions")
    commits = resolver_of(caller).commits(task.repository, _one(minimum), task.commit, _names(excluded))
    return [*(Term(name, "=", value, "string") for name, value in same.items()), _among("script_version", commits)]


def _flag(call: Call, name: str) -> Any:
    """A flag of the request, or, as it was once said, of the job in it; JSON where it looks like that."""
    value = call.option(name)
    value = call.said(JOBS).get(name) if value in (None, "") else value
    return parsed(value.encode(), name) if isinstance(value, str) and value[:1] == "[" else value


def _one(value: Any) -> str:
    if value is not None and not isinstance(value, str):
        raise invalid("minimum_script_version: must be text")
    return value or ""


def _names(value: Any) -> list[str]:
    """Names in an operand or flag: text, or an array of texts."""
    found = [value] if isinstance(value, str) else value or []
    if not isinstance(found, list) or len(found) > MOST_NAMES or not all(isinstance(one, str) for one in found):
        raise invalid(f"find_or_create: commits and images are named by text, or an array of at most {MOST_NAMES}")
    return [one for one in found if one]


def _among(name: str, values: list[str]) -> Term:
    return Term(name, "in", values, "string")


# --- Filters ----------------------------------------------------------------------------------------------------------


def _of_filters(caller: Caller, call: Call, given: Any, task: TaskSpec) -> list[Term]:
    plain = [one for one in given if _operator(one) not in (*_GIT, *_DOCKER)] if isinstance(given, list) else given
    made = filters.terms(JOBS, plain, None)
    for name in _REQUIRED:
        if all(one[0] != name for one in plain):
            raise invalid(f"{name} filter required")
    ours = [one for one in given if _operator(one) in (*_GIT, *_DOCKER)]
    made += [_of_images(caller, *one) for one in ours if _operator(one) in _DOCKER]
    versions = [one for one in ours if _operator(one) in _GIT]
    return [*made, _of_versions(caller, call, plain, versions, task)] if versions else made


def _operator(one: Any) -> str:
    is_whole = isinstance(one, list) and len(one) == 3 and isinstance(one[1], str)
    return one[1].lower() if is_whole else ""


def _of_versions(caller: Caller, call: Call, plain: list[Any], given: list[Any], task: TaskSpec) -> Term:
    """All `in git` and `not in git` together: a range that ends with the request's own script_version."""
    if any(name != "script_version" for name, _, _ in given):
        raise invalid("filters: in git and not in git are for script_version")
    named = {name: operand for name, operator, operand in plain if operator == "=" and name in _REQUIRED}
    for name in _REQUIRED:
        if not isinstance(named.get(name), str):
            raise invalid(f"script_version filter needs {name} filter")
    repository, minimum = named["repository"], ""
    excluded: list[str] = []
    for _, operator, operand in given:
        if operator.lower() == "in git":
            minimum = _one(operand)
        else:
            excluded += _names(operand)
    maximum = task.commit if repository == task.repository else str(call.said(JOBS)["script_version"])
    return _among("script_version", resolver_of(caller).commits(repository, minimum, maximum, excluded))


def _of_images(caller: Caller, name: str, operator: str, operand: Any) -> Term:
    if name != "docker_image_locator":
        raise invalid("filters: in docker and not in docker are for docker_image_locator")
    found = sorted({digest for one in _names(operand) for digest in _images(caller, one)})
    return Term(name, operator.lower().removesuffix(" docker"), found, "string")


def _images(caller: Caller, name: str) -> list[str]:
    """Digests that the name stood for in jobs that the caller may read, and the one it stands for now, if any."""
    seen = caller.sight
    with caller.service.rows() as connection:
        found = listing.images_named(connection, seen, name)
    try:
        return [*found, caller.service.images(name).digest]
    except BadTask:  # it stands for nothing now, or nobody knows: then it is what it was
        return found
