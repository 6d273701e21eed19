"""The pages over HTTPS: who may, what a form needs, what becomes of bad ones; each page as JSON and live."""

import json
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests

from gateway.client import Client
from gateway.pages.session import COOKIE, FORM_SECONDS, KEY
from gateway.pages.web import TRIES
from gateway.people import user_set
from readmodel import queries, registry
from readmodel.connection import connect
from tests.support.api import Person, Site, another_api
from tests.support.laboratory import Laboratory
from tests.support.window import Window, tasks_of

PAGES = ("/jobs", "/claims", "/hot", "/savings", "/conflicts", "/nodes")


class Elsewhere(requests.adapters.HTTPAdapter):
    """Connections from another address of this machine."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options, source_address=("127.0.0.2", 0))


@pytest.fixture
def window(api_site: Site) -> Iterator[Any]:
    """Opens windows, and closes them in the end."""
    opened = []

    def open_window(person: Person | None = None) -> Window:
        opened.append(Window(api_site, person))
        return opened[-1]

    yield open_window
    for one in opened:
        one.close()


@pytest.fixture(scope="module")
def done(api_site: Site, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The job of pia, whose one sample is aligned."""
    pia = api_site.person("pia")
    lab = Laboratory(tmp_path_factory.mktemp("pages") / "lab")
    lab.open()
    root = api_site.crunch.submit(lab.job("panel", ["NA1"]), "--as", "pia")
    until_complete(api_site, pia, root)
    lab.close()
    return root


def until_complete(api_site: Site, person: Person, root: str) -> None:
    def ended(client: Client) -> bool | None:
        found = queries.job(client.rows, person.uuid, root)
        return (found is not None and found.state == "complete") or None

    api_site.crunch.until(ended)


# --- Signing in -------------------------------------------------------------------------------------------------------


def test_who_is_not_signed_in_is_asked_to_and_then_sent_on(api_site: Site, window: Any) -> None:
    one = window()
    answered = one.get("/jobs?show=active")
    assert (answered.status_code, answered.headers["location"]) == (303, "/login?next=%2Fjobs%3Fshow%3Dactive")
    assert one.get("/jobs.json").status_code == 401
    assert one.get("/jobs.live").status_code == 401
    form = one.get(answered.headers["location"])
    assert 'name="next" value="/jobs?show=active"' in form.text
    answered = one.post("/login", token=api_site.person("pia").token, next="/jobs?show=active")
    assert (answered.status_code, answered.headers["location"]) == (303, "/jobs?show=active")
    said = answered.headers["set-cookie"]
    assert said.startswith(f"{COOKIE}=")
    assert {"HttpOnly", "Secure", "SameSite=lax", "Path=/"} <= set(said.split("; "))
    assert api_site.person("pia").token not in said
    assert one.get("/jobs").status_code == 200


def test_a_token_that_is_none_opens_nothing_and_is_not_repeated(window: Any) -> None:
    one = window()
    answered = one.post("/login", token="<script>" * 8, next="/")
    assert answered.status_code == 401
    assert "This token opens nothing" in answered.text
    assert "<script>" not in answered.text
    assert COOKIE not in answered.headers.get("set-cookie", "")


def test_tries_are_limited(api_site: Site, window: Any) -> None:
    one, other = window(), window(api_site.person("pia"))
    one.session.mount("https://", Elsewhere())
    tries = [one.post("/login", token="x" * 50) for _ in range(TRIES + 4)]
    refused = [answered for answered in tries if answered.status_code == 429]
    assert refused
    assert int(refused[0].headers["retry-after"]) > 0
    assert "Too many tries" in refused[0].text
    assert one.post("/login", token=api_site.person("pia").token).status_code == 429
    for _ in range(TRIES + 4):  # who has a good token is not limited
        assert other.post("/login", token=api_site.person("pia").token).status_code == 303


def test_a_token_for_less_opens_no_page(api_site: Site, window: Any) -> None:
    pia = api_site.person("pia")
    less = api_site.token(pia.uuid, scopes=("GET /arvados/v1/jobs",))
    headers = {"Authorization": f"Bearer {less}"}
    answered = window().get("/jobs.json", headers=headers)
    assert (answered.status_code, "opens no pages" in answered.text) == (403, True)


def test_a_session_ends_with_its_token_and_with_its_user(api_site: Site, window: Any) -> None:
    gus = api_site.person("gus")
    one = window(gus)
    assert one.get("/jobs").status_code == 200
    with connect(api_site.dsn) as rows:
        for token in registry.tokens(rows):
            if token.user_uuid == gus.uuid:
                registry.revoke_token(rows, token.uuid)
    assert one.get("/jobs").headers["location"].startswith("/login")
    assert one.get("/jobs.json").status_code == 401


def test_a_cookie_that_was_made_by_others_is_none(api_site: Site, window: Any) -> None:
    one = window()
    claims = {"sub": "zzzzz-gj3su-000000000000000", "jti": "x", "exp": time.time() + 60, "aud": "session"}
    with connect(api_site.dsn) as rows:
        key = registry.shared_key(rows, KEY)
    bad = [
        jwt.encode(claims, b"k" * 32, "HS256"),
        jwt.encode(claims, None, "none"),
        jwt.encode(claims | {"exp": 1}, key, "HS256"),
        jwt.encode(claims | {"aud": "form"}, key, "HS256"),
        "garbage",
    ]
    for cookie in bad:
        assert one.get("/jobs.json", headers={"Cookie": f"{COOKIE}={cookie}"}).status_code == 401


def test_signing_out_ends_the_session_wherever_its_cookie_is(api_site: Site, window: Any) -> None:
    one, copy, other = window(api_site.person("pia")), window(), window(api_site.person("pia"))
    copy.session.cookies.update(one.session.cookies)
    with copy.get("/jobs.live", stream=True) as stream:
        lines = stream.iter_lines()
        assert next(lines) == b"event: said"
        assert one.post("/logout").headers["location"] == "/login"
        last = [line for line in lines if line.startswith(b"data: ")][-1]
    assert json.loads(last[6:])["over"] is True
    assert one.get("/jobs").status_code == 303
    assert copy.get("/jobs.json").status_code == 401
    assert other.get("/jobs.json").status_code == 200
    assert copy.post("/logout").status_code == 303
    assert window().post("/logout").status_code == 303


# --- Forms ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", [None, "https://evil.example", "https://[", "null", "http://127.0.0.1"])
def test_a_form_that_another_site_sent_does_nothing(api_site: Site, window: Any, done: str, origin: str | None) -> None:
    one = window(api_site.person("pia"))
    answered = one.post(f"/jobs/{done}/cancel", origin=origin, mark="")
    assert answered.status_code == 403
    assert "not sent by this site" in answered.text


def test_a_form_without_a_mark_or_with_a_stale_one_or_anothers_does_nothing(
    api_site: Site, window: Any, done: str
) -> None:
    one, other = window(api_site.person("pia")), window(api_site.person("pia"))
    with connect(api_site.dsn) as rows:
        key = registry.shared_key(rows, KEY)
    claims = jwt.decode(other.mark(f"/jobs/{_running(api_site)}"), key, ["HS256"], audience="form")
    stale = jwt.encode(claims | {"exp": time.time() - FORM_SECONDS}, key, "HS256")
    for mark in ("", "garbage", stale, jwt.encode(claims, key, "HS256")):
        answered = one.post(f"/jobs/{done}/cancel", mark=mark)
        assert answered.status_code == 409, answered.text
        assert "too old, or from before you signed in" in answered.text


_waiting: list[str] = []


def _running(api_site: Site) -> str:
    """A job of pia that can be cancelled."""
    if not _waiting:
        folder = Path(str(api_site.crunch.home)) / "never"
        _waiting.append(api_site.crunch.submit(Laboratory(folder).job("never", ["N1"]), "--as", "pia"))
    return _waiting[0]


def test_a_job_is_cancelled_by_its_owner_alone(api_site: Site, window: Any) -> None:
    root, pia, eve = _running(api_site), window(api_site.person("pia")), window(api_site.person("noa"))
    answered = eve.post(f"/jobs/{root}/cancel", mark=_any_mark(api_site, eve))
    assert answered.status_code == 404
    answered = pia.post(f"/jobs/{root}/cancel", mark=pia.mark(f"/jobs/{root}"))
    assert (answered.status_code, answered.headers["location"]) == (303, f"/jobs/{root}")
    assert pia.get(f"/jobs/{root}.json").json()["job"]["state"] == "cancelled"
    assert "Cancel job" not in pia.get(f"/jobs/{root}").text


def _any_mark(api_site: Site, one: Window) -> str:
    """A good mark of this window's session."""
    with connect(api_site.dsn) as rows:
        key = registry.shared_key(rows, KEY)
    session = jwt.decode(one.session.cookies[COOKIE], key, ["HS256"], audience="session")
    digest = sha256(session["jti"].encode()).hexdigest()
    return jwt.encode({"sub": digest, "exp": time.time() + 60, "aud": "form"}, key, "HS256")


def test_only_an_operator_judges(api_site: Site, window: Any, done: str) -> None:
    pia, eve = window(api_site.person("pia")), window(api_site.person("noa"))
    fingerprint = tasks_of(pia, done)[0]["fingerprint"]
    assert pia.post(f"/fingerprints/{fingerprint}/quarantine", mark=_any_mark(api_site, pia)).status_code == 403
    assert eve.post(f"/fingerprints/{fingerprint}/quarantine", mark=_any_mark(api_site, eve)).status_code == 404
    boss = window(api_site.person("boss", is_admin=True))
    path = f"/fingerprints/{fingerprint}"
    assert boss.post(f"{path}/quarantine", mark=boss.mark(path), reason="<b>odd</b>").status_code == 303
    assert "&lt;b&gt;odd&lt;/b&gt;" in pia.get(path).text
    assert boss.post(f"{path}/release", mark=boss.mark(path)).status_code == 303
    assert "Out of use" not in pia.get(path).text
    assert boss.post(f"{path}/invalidate", mark=boss.mark(path), token="nix").status_code == 404


def test_a_conflict_is_over_when_one_side_is_declared_wrong(api_site: Site, window: Any, tmp_path: Path) -> None:
    person = api_site.person("boss", is_admin=True)
    boss, lab = window(person), Laboratory(tmp_path / "lab")
    for text, refresh in (("wrong\n", False), ("right\n", True)):
        root = api_site.crunch.submit(lab.fickle("calls", text, refresh=refresh), "--as", "boss")
        until_complete(api_site, person, root)
    [task] = tasks_of(boss, root)
    path = f"/fingerprints/{task['fingerprint']}"
    [shown] = boss.get(f"{path}.json").json()["conflicts"]
    earlier, later = shown["pair"]["earlier"], shown["pair"]["later"]
    assert (shown["pair"]["is_open"], later["output"]) == (True, task["output"])
    assert [f'value="{side["token"]}"' in boss.get("/conflicts").text for side in (earlier, later)] == [True, True]
    answered = boss.post(f"{path}/invalidate", mark=boss.mark(path), token=earlier["token"])
    assert (answered.status_code, answered.headers["location"]) == (303, path)
    [shown] = boss.get(f"{path}.json").json()["conflicts"]
    assert (shown["pair"]["is_open"], shown["pair"]["earlier"]["status"]) == (False, "invalidated")
    root = api_site.crunch.submit(lab.fickle("calls", "right\n"), "--as", "boss")
    until_complete(api_site, person, root)
    [again] = tasks_of(boss, root)
    assert (again["state"], again["output"]) == ("copied", later["output"])


# --- What is shown to whom --------------------------------------------------------------------------------------------


def test_every_page_has_its_json_and_its_headers(api_site: Site, window: Any, done: str) -> None:
    one = window(api_site.person("pia"))
    [first, second] = tasks_of(one, done)
    about = (f"/jobs/{done}", f"/tasks/{second['task']}", f"/fingerprints/{first['fingerprint']}")
    for path in (*PAGES, *about):
        answered = one.get(path)
        assert answered.status_code == 200, path
        assert answered.headers["content-type"].startswith("text/html")
        policy = answered.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answered.headers["x-content-type-options"] == "nosniff"
        assert answered.headers["cache-control"] == "no-store"
        assert " style=" not in answered.text
        assert " onclick=" not in answered.text
        assert "age" in one.get(f"{path}.json").json()
    [hour] = one.get("/savings.json").json()["hours"]
    assert hour["spent"] > 0


def test_programs_read_the_json_by_token(api_site: Site, window: Any, done: str) -> None:
    pia = api_site.person("pia")
    answered = window().get(f"/jobs/{done}.json", headers={"Authorization": f"OAuth2 {pia.token}"})
    assert answered.json()["job"]["name"] == "panel"


def test_what_is_somebody_elses_is_not_there(api_site: Site, window: Any, done: str) -> None:
    pia, eve = window(api_site.person("pia")), window(api_site.person("noa"))
    task = tasks_of(pia, done)[1]
    paths = [
        f"/jobs/{done}",
        f"/jobs/{done}.json",
        f"/tasks/{task['task']}",
        f"/tasks/{task['task']}.json",
        f"/tasks/{task['task']}/log",
        f"/tasks/{task['task']}/output/aligned.txt",
        f"/jobs/{done}/output/aligned.txt",
        f"/fingerprints/{task['fingerprint']}",
    ]
    for path in paths:
        assert pia.get(path).status_code == 200, path
        hers, none = eve.get(path), eve.get(path.replace(done, "nix").replace(task["task"], "nix"))
        assert hers.status_code == 404, path
        if task["fingerprint"] not in path:
            assert (hers.status_code, hers.text) == (none.status_code, none.text)
    assert eve.get("/jobs.json").json()["rows"] == []
    assert eve.get("/hot.json").json()["rows"] == []
    assert eve.get("/savings.json").json()["hours"] == []
    assert eve.get("/partitions").status_code == 404
    assert eve.get("/minutes.json").status_code == 404  # everybody's work
    assert "Partitions" not in eve.get("/jobs").text
    boss = window(api_site.person("boss", is_admin=True))
    assert {part["topic"] for part in boss.get("/partitions.json").json()["parts"]} >= {"claims", "facts", "work"}
    hour = boss.get("/minutes.json").json()
    assert (hour["source"], hour["ended"]["complete"] > 0, hour["trouble"]) == ("read model", True, "")


def test_an_input_is_given_as_the_api_would(api_site: Site, window: Any, done: str) -> None:
    pia = window(api_site.person("pia"))
    first = tasks_of(pia, done)[0]
    [given] = pia.get(f"/tasks/{first['task']}.json").json()["inputs"]
    answered = api_site.person("pia").ask("GET", f"collections/{given['content']['content']}")
    assert given["is_readable"] is (answered.status_code == 200)
    path = f"/tasks/{first['task']}/inputs/samples/samples.json"
    assert pia.get(path).status_code == answered.status_code
    boss = window(api_site.person("boss", is_admin=True))
    assert boss.get(path).json() == ["NA1"]
    assert boss.get(f"/tasks/{first['task']}/inputs/samples/..%2f..%2fetc%2fpasswd").status_code == 404


def test_files_are_saved_and_never_shown(api_site: Site, window: Any, done: str) -> None:
    pia = window(api_site.person("pia"))
    task = tasks_of(pia, done)[1]["task"]
    for path in (f"/tasks/{task}/log", f"/tasks/{task}/output/aligned.txt"):
        answered = pia.get(path)
        assert answered.headers["content-disposition"].startswith("attachment")
        assert answered.headers["content-type"] == "application/octet-stream"
        assert "sandbox" in answered.headers["content-security-policy"]
    assert pia.get(f"/tasks/{task}/output/nix").status_code == 404


def test_odd_page_numbers_and_filters_are_harmless(api_site: Site, window: Any, done: str) -> None:
    pia = window(api_site.person("pia"))
    numbers = ("page=0", "page=-1", "page=x", "page=²", "page=99999999999", "page=1&page=2")
    for query in (*numbers, "show='--", "below=nix"):
        assert pia.get(f"/jobs?{query}").status_code == 200, query
        assert pia.get(f"/jobs/{done}?{query}").status_code == 200, query
    assert pia.get("/jobs.json?page=9999").json()["rows"] == []
    assert pia.get("/savings?days=9999").status_code == 200


# --- Live -------------------------------------------------------------------------------------------------------------


def test_a_live_page_says_what_it_shows_and_how_old_that_is(api_site: Site, window: Any, done: str) -> None:
    one = window(api_site.person("pia"))
    with one.get(f"/jobs/{done}.live", stream=True) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        said = [json.loads(line[6:]) for line in (next(lines) for _ in range(6)) if line.startswith(b"data: ")]
    assert "panel" in said[0]["parts"]["main"]
    assert "parts" not in said[1]
    assert said[1]["age"]["standing"] in ("current", "behind")


def test_a_live_page_ends_with_its_token(api_site: Site, window: Any) -> None:
    fay = api_site.person("fay")
    one = window(fay)
    with one.get("/jobs.live", stream=True) as stream:
        lines = stream.iter_lines()
        assert next(lines) == b"event: said"
        with connect(api_site.dsn) as rows:
            for token in registry.tokens(rows):
                if token.user_uuid == fay.uuid:
                    registry.revoke_token(rows, token.uuid)
        last = [line for line in lines if line.startswith(b"data: ")][-1]
    assert json.loads(last[6:])["over"] is True


def test_another_process_of_the_api_serves_the_same_to_the_same_session(api_site: Site, window: Any, done: str) -> None:
    one = window(api_site.person("pia"))
    with another_api(api_site) as (address, _):
        one.origin = f"https://{address}"
        assert one.get(f"/jobs/{done}.json").json()["job"]["name"] == "panel"
        assert one.get("/nodes.json").json()["nodes"][0]["slots"] == 2


def test_a_user_who_is_shut_out_sees_nothing_more(api_site: Site, window: Any) -> None:
    hal = api_site.person("hal")
    one = window(hal)
    assert one.get("/jobs").status_code == 200
    change = user_set("hal")
    api_site.set_user(type(change)(user=change.user, name=change.name, is_admin=False, is_active=False))
    assert one.get("/jobs").status_code == 303
