"""find_or_create over HTTP: which job is given, by v1's rules, on repositories with branches and merges."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest

from gateway.api import jobs, request, reuse
from gateway.content import store_of
from readmodel import listing
from readmodel.sight import sight
from tests.support.api import Person, Site
from tests.support.inprocess import in_process
from tests.support.model import Model
from tests.support.office import spec
from tests.support.scripts import Scripts, make_repository, run_git

pytestmark = pytest.mark.needs("git")


def found(person: Person, scripts: Scripts, parameters: dict[str, Any], **more: Any) -> Any:
    """What find_or_create gives."""
    return person.post("jobs", **scripts.body(parameters, **more), find_or_create=True)


def test_a_complete_job_is_found_by_who_may_read_it(api_site: Site, scripts: Scripts) -> None:
    fay, gus = api_site.person("fay"), api_site.person("gus")
    asked = {"write": "found"}
    assert fay.get("jobs/reusable", **scripts.body(asked))["job"] is None
    first = scripts.ended(fay, found(fay, scripts, asked)["uuid"])
    assert found(fay, scripts, asked)["uuid"] == first["uuid"]
    would = fay.get("jobs/reusable", **scripts.body(asked))
    assert (would["job"]["uuid"], would["why"]) == (first["uuid"], "it is complete")
    assert would["candidates"] == [{"uuid": first["uuid"], "why": "it is given"}]
    [told] = fay.get("jobs/reusable", **scripts.body({"write": "x"}))["candidates"]
    assert told == {"uuid": first["uuid"], "why": "other script_parameters: write"}
    assert found(fay, scripts, {"write": "other"})["uuid"] != first["uuid"]
    assert found(fay, scripts, asked, exclude_script_versions=[scripts.commit])["uuid"] != first["uuid"]
    assert found(fay, scripts, asked, no_reuse=True)["uuid"] != first["uuid"]
    assert fay.post("jobs", **scripts.body(asked))["uuid"] != first["uuid"]
    unseen = gus.get("jobs/reusable", **scripts.body(asked))
    assert unseen == {"job": None, "why": "there is none like it", "candidates": [], "left_out": []}
    link = {"link_class": "permission", "name": "can_read", "tail_uuid": gus.uuid, "head_uuid": fay.uuid}
    fay.post("links", **link)
    assert gus.get("jobs/reusable", **scripts.body(asked))["job"]["owner_uuid"] == fay.uuid


def test_jobs_that_disagree_or_said_to_be_nondeterministic_are_not_found(api_site: Site, scripts: Scripts) -> None:
    hal = api_site.person("hal")
    asked = {"write": "maybe"}
    scripts.ended(hal, scripts.job(hal, asked, nondeterministic=True)["uuid"])
    would = hal.get("jobs/reusable", **scripts.body(asked))
    assert (would["why"], would["candidates"]) == ("there is none like it", [])
    assert [one["why"] for one in would["left_out"]] == ["it is said to be nondeterministic"]
    counted = scripts.file("disagree")
    differs = {"counts": str(counted)}  # what the script leaves is how often it ran
    for number in (1, 2):
        scripts.ended(hal, scripts.job(hal, differs)["uuid"])
        found_now = hal.get("jobs/reusable", **scripts.body(differs))
        assert (found_now["job"] is not None) == (number == 1), found_now
    assert found_now["why"] == "the outputs of those that are complete differ"
    differ = [one["why"] for one in found_now["candidates"]]
    assert differ == ["its output is not that of the others"] * 2
    assert found(hal, scripts, differs)["state"] == "Queued"


def test_racing_requests_of_one_owner_land_on_one_job(api_site: Site, scripts: Scripts) -> None:
    ida = api_site.person("ida")
    pipe = scripts.pipe("race")
    body = scripts.body({"wait": str(pipe)}) | {"find_or_create": True}

    def post(_: int) -> str:
        person = Person(api_site, ida.uuid, ida.token)
        uuid = person.post("jobs", **body)["uuid"]
        person.session.close()
        return str(uuid)

    with ThreadPoolExecutor(50) as pool:
        [job] = set(pool.map(post, range(50)))
    running = scripts.running_task(ida, job)
    assert running["job_uuid"] == job
    assert ida.get("jobs/reusable", **scripts.body({"wait": str(pipe)}))["why"] == "it is running"
    ida.post(f"jobs/{job}/cancel")
    again = post(0)
    assert again != job
    ida.post(f"jobs/{again}/cancel")


def test_one_that_appears_after_none_was_found_is_the_same_job(
    api_site: Site, scripts: Scripts, monkeypatch: pytest.MonkeyPatch
) -> None:
    pat = api_site.person("pat")
    body = scripts.body({"write": "both"}) | {"find_or_create": True}
    others: list[str] = []
    look = reuse.find

    def find(*asked: Any) -> reuse.Found:
        found = look(*asked)
        others.append(pat.post("jobs", **body)["uuid"])
        return found

    monkeypatch.setattr(reuse, "find", find)
    with in_process(api_site) as service:
        headers = {"content-type": "application/json"}
        call = request.call("POST", "/arvados/v1/jobs", b"", headers, json.dumps(body).encode())
        made = jobs.create(service.caller(pat.token), call, "")
    assert [made["uuid"]] == others


def test_who_has_more_like_it_than_are_looked_at_is_not_told_that_they_are_left_out(
    api_site: Site, scripts: Scripts, monkeypatch: pytest.MonkeyPatch
) -> None:
    mia = api_site.person("mia-of-many")
    made = [mia.post("jobs", **scripts.body({"write": f"one of many: {number}"}))["uuid"] for number in range(3)]
    other = mia.post("jobs", **scripts.body({"write": "another"}, nondeterministic=True))["uuid"]
    monkeypatch.setattr(reuse, "MOST", 1)
    asked = scripts.body({"write": "x"})
    query = urlencode(asked | {"script_parameters": json.dumps(asked["script_parameters"])}).encode()
    with in_process(api_site) as service:
        call = request.call("GET", "/arvados/v1/jobs/reusable", query, {}, b"")
        told = jobs.reusable(service.caller(mia.token), call, "")
    assert [one["uuid"] for one in told["candidates"]] == made[:1]
    assert told["left_out"] == [{"uuid": other, "why": "it is said to be nondeterministic"}]


def test_a_job_whose_output_is_gone_is_not_found(api_site: Site, scripts: Scripts) -> None:
    kim = api_site.person("kim")
    asked = {"write": "to be lost"}
    job = scripts.ended(kim, scripts.job(kim, asked)["uuid"])
    store = store_of(api_site.crunch.session().folders)
    [manifest, *_] = store.locators(job["output"])
    text = store.blocks.get(manifest)
    store.blocks.remove(manifest)
    assert "not whole in the store" in kim.get("jobs/reusable", **scripts.body(asked))["why"]
    store.blocks.put(text)
    assert kim.get("jobs/reusable", **scripts.body(asked))["job"]["uuid"] == job["uuid"]


def test_a_job_that_is_bound_to_fail_is_not_found(api_site: Site, scripts: Scripts) -> None:
    lea = api_site.person("lea")
    pipe = scripts.pipe("doomed")
    body = scripts.body({"wait": str(pipe)})
    job = lea.post("jobs", **body)["uuid"]
    first = scripts.running_task(lea, job)
    sibling = lea.post("job_tasks", job_uuid=job, parameters={"success": False, "wait": None})["uuid"]
    assert lea.get("jobs/reusable", **body)["job"]["uuid"] == job
    api_site.crunch.until(lambda _: lea.get(f"job_tasks/{sibling}")["success"] is False or None)
    assert lea.get(f"jobs/{job}")["state"] == "Running", "its first task still runs"
    told = lea.get("jobs/reusable", **body)
    assert (told["job"], told["why"]) == (None, "there is none like it")
    assert told["candidates"] == [{"uuid": job, "why": "tasks of it have failed"}]
    again = lea.post("jobs", **body, find_or_create=True)["uuid"]
    assert again != job
    scripts.running_task(lea, again)
    with open(pipe, "w"):
        """Both go on."""
    assert scripts.ended(lea, job)["state"] == "Failed"
    assert first["job_uuid"] == job
    whys = {one["uuid"]: one["why"] for one in lea.get("jobs/reusable", **body)["candidates"]}
    assert whys[job] == "it is failed"
    lea.post(f"jobs/{again}/cancel")


def test_the_old_words_are_understood_too(api_site: Site, scripts: Scripts) -> None:
    mia = api_site.person("mia")
    first = scripts.ended(mia, scripts.job(mia, {"write": "old"})["uuid"])["uuid"]
    inside = scripts.body({"write": "old"}, no_reuse=False, minimum_script_version="main")
    assert mia.post("jobs", job=inside)["uuid"] == first
    assert mia.post("jobs", job=inside | {"exclude_script_versions": ["main"]})["uuid"] != first
    assert mia.post("jobs", job=inside | {"no_reuse": True}, find_or_create=True)["uuid"] != first
    assert mia.post("jobs", job=scripts.body({"write": "old"}))["uuid"] != first


# --- Ranges of commits ------------------------------------------------------------------------------------------------


class Ranges(NamedTuple):
    r"""A repository, and who has jobs that are complete at three of its commits.

    a (tag start) --- b --- c --- d (main)        c merges b and s; jobs: a, s, o
     \-- s (branch side) --/
     \-- o (branch other)
    """

    person: Person
    commits: dict[str, str]
    jobs: dict[str, str]  # by uuid, the commit's letter

    def body(self, version: str = "main", **more: Any) -> dict[str, Any]:
        needed = {"script": "run.py", "script_version": version, "repository": "ranges"}
        return needed | {"script_parameters": {"write": "x"}} | more

    def found(self, version: str = "main", **more: Any) -> str:
        """The letter of the job that would be given; why not, if none."""
        said = self.person.get("jobs/reusable", **self.body(version, **more))
        return self.jobs[said["job"]["uuid"]] if said["job"] else str(said["why"])


@pytest.fixture(scope="module")
def ranges(api_site: Site, scripts: Scripts) -> Ranges:
    folder = scripts.file("ranges")
    commits = {"a": make_repository(folder)}
    run_git(folder, "tag", "start")
    for branch, letter in (("other", "o"), ("side", "s"), ("main", "b")):
        run_git(folder, "checkout", "-q", "-B", branch, commits["a"])
        run_git(folder, "commit", "-q", "--allow-empty", "-m", letter)
        commits[letter] = run_git(folder, "rev-parse", "HEAD")
    run_git(folder, "merge", "-q", "--no-ff", "-m", "c", "side")
    commits["c"] = run_git(folder, "rev-parse", "HEAD")
    run_git(folder, "commit", "-q", "--allow-empty", "-m", "d")
    commits["d"] = run_git(folder, "rev-parse", "HEAD")
    assert api_site.crunch.run("repository", "add", "ranges", str(folder)).code == 0
    made = Ranges(api_site.person("nia"), commits, {})
    for letter in "aso":
        made.jobs[made.person.post("jobs", **made.body(commits[letter]))["uuid"]] = letter
    for uuid in made.jobs:
        assert scripts.ended(made.person, uuid)["state"] == "Complete"
    return made


NONE = "there is none like it"


@pytest.mark.parametrize(
    ("version", "minimum", "excluded", "expected"),
    [
        ("main", None, [], NONE),
        ("main", "start", [], "a"),
        ("main", "a", ["start"], "s"),
        ("main", "a", ["a"], "s"),
        ("main", "a", ["a", "side"], NONE),
        ("main", "b", [], "s"),
        ("main", "c", [], NONE),
        ("main", "side", [], "s"),
        ("main", "other", ["s"], "o"),  # no ancestor: itself, and what it does not lead to
        ("main", "main", [], NONE),
        ("other", "a", ["a"], "o"),
        ("start", None, [], "a"),
        ("start", None, ["start"], NONE),
        ("main", "start", ["0" * 40], "a"),
    ],
)
def test_a_range_is_what_git_says(
    ranges: Ranges, version: str, minimum: str | None, excluded: list[str], expected: str
) -> None:
    names = ranges.commits
    more: dict[str, Any] = {"exclude_script_versions": [names.get(one, one) for one in excluded]} if excluded else {}
    least = names.get(minimum, minimum) if minimum else None
    assert ranges.found(version, **more, **({"minimum_script_version": least} if least else {})) == expected
    filters: list[Any] = [["repository", "=", "ranges"], ["script", "=", "run.py"]]
    filters += [["script_version", "in git", least]] if least else []
    filters += [["script_version", "not in git", names.get(one, one)] for one in excluded]
    if least or excluded:
        assert ranges.found(version, filters=filters) == expected


def test_what_is_left_out_is_told_with_what_it_differs_in(ranges: Ranges) -> None:
    told = ranges.person.get("jobs/reusable", **ranges.body("side"))
    assert [ranges.jobs[one["uuid"]] for one in told["candidates"]] == ["s"]
    assert {ranges.jobs[one["uuid"]]: one["why"] for one in told["left_out"]} == {
        letter: f"other script_version: {ranges.commits[letter]}" for letter in "ao"
    }
    by_time = [["repository", "=", "ranges"], ["script", "=", "run.py"], ["created_at", "<", "2014-01-01"]]
    told = ranges.person.get("jobs/reusable", **ranges.body(filters=by_time))
    assert [one["why"] for one in told["left_out"]] == ["the filters leave it out"] * 3


def test_filters_stand_in_for_all_other_rules(ranges: Ranges) -> None:
    script = [["repository", "=", "ranges"], ["script", "=", "run.py"]]
    assert ranges.found(filters=script) == "a"
    assert ranges.found(filters=[*script, ["script_version", "!=", ranges.commits["a"]]]) == "s"
    assert ranges.found(filters=[*script, ["created_at", "<", "2014-01-01"]]) == NONE
    assert ranges.found(filters=[["repository", "=", "ranges"], ["script", "in", ["run.py"]]]) == "a"
    assert ranges.found(filters=[*script, ["docker_image_locator", "in docker", "no-such-image"]]) == NONE
    assert ranges.found(filters=[*script, ["docker_image_locator", "not in docker", ["no-such-image"]]]) == "a"


@pytest.mark.parametrize(
    ("filters", "named"),
    [
        ([["script", "=", "run.py"]], "repository filter required"),
        ([["repository", "=", "ranges"]], "script filter required"),
        ([["repository", "=", "ranges"], ["script", "=", "x"], ["script_version", "in git", "nowhere"]], "nowhere"),
        ([["repository", "=", "ranges"], ["script", "=", "x"], ["script_version", "not in git", ["no"]]], "'no'"),
        ([["repository", "=", "ranges"], ["script", "=", "x"], ["script_version", "in git", ["a"]]], "must be text"),
        (
            [["repository", "=", "ranges"], ["script", "in", ["x"]], ["script_version", "in git", "start"]],
            "needs script",
        ),
        ([["repository", "=", "ranges"], ["script", "=", "x"], ["script", "in git", "start"]], "for script_version"),
        ([["repository", "=", "ranges"], ["script", "=", "x"], ["script", "in docker", "y"]], "docker_image_locator"),
        ([["repository", "=", "/etc"], ["script", "=", "x"], ["script_version", "in git", "start"]], "repository"),
        ([["repository", "=", "ranges"], ["script", "=", "x"], ["no_such", "=", "start"]], "no_such"),
        ([["repository", "=", "ranges"], ["script", "=", "x"], 7], "filters"),
        ({"repository": "ranges"}, "filters"),
    ],
)
def test_filters_that_can_not_be_are_refused(ranges: Ranges, api_site: Site, filters: Any, named: str) -> None:
    for ask in (
        lambda: ranges.person.ask("POST", "jobs", json=ranges.body() | {"filters": filters, "find_or_create": True}),
        lambda: ranges.person.ask("GET", "jobs/reusable", json=ranges.body() | {"filters": filters}),
    ):
        response = ask()
        assert response.status_code == 422, response.text
        assert named in response.text
        assert str(api_site.crunch.home) not in response.text


@pytest.mark.parametrize(
    "flags",
    [{"minimum_script_version": "nowhere"}, {"exclude_script_versions": ["nowhere"]}, {"minimum_script_version": [1]}],
)
def test_a_commit_that_is_none_is_named(ranges: Ranges, flags: dict[str, Any]) -> None:
    response = ranges.person.ask("POST", "jobs", json=ranges.body() | flags | {"find_or_create": True})
    assert response.status_code == 422, response.text
    assert next(iter(flags)) in response.text or "commits" in response.text


# --- Images -----------------------------------------------------------------------------------------------------------


def test_an_image_is_known_by_the_names_that_jobs_gave_it(model: Model) -> None:
    for number, (name, digest) in enumerate(
        [("lab/tool:1", "sha256:1"), ("lab/tool:2", "sha256:2"), ("host:5000/tool", "sha256:3"), ("", "")]
    ):
        model.office.submit("ada", f"job-{number}", spec(image_name=name, image=digest))
    model.office.settle()

    def named(viewer: str, name: str) -> list[str]:
        return sorted(model.ask(lambda rows: listing.images_named(rows, sight(rows, viewer), name)))

    assert named("ada", "lab/tool") == ["sha256:1", "sha256:2"]
    assert named("ada", "lab/tool:2") == ["sha256:2"]
    assert named("ada", "host:5000/tool") == ["sha256:3"]
    assert named("ada", "sha256:1") == ["sha256:1"]
    assert named("ada", "host") == named("ada", "") == named("ben", "lab/tool") == []
