"""The one Dockerfile, and docker-compose.yml: built and brought up, with Kafka and Postgres of our own."""

from collections.abc import Iterator

import orjson
import pytest

from tests.support.cluster import Compose, compose

JOB = b"""
name: hello
command: ["sh", "-c", "echo hello > $TASK_OUTPUT/x"]
is_pure: true
"""
SERVICES = ("coordinator", "standby", "projector", "executor", "api", "views")

pytestmark = pytest.mark.needs("docker", "compose", "kafka")


@pytest.fixture(scope="module")
def cluster(docker_engine: str) -> Iterator[Compose]:
    with compose(docker_engine) as made:
        made.run("build")  # first: here, Kafka and Postgres are in it too
        made.run("up", "--detach", "--scale", "executor=2")
        yield made


def test_every_service_becomes_healthy_and_two_users_jobs_run_once(cluster: Compose) -> None:
    cluster.until_healthy(*SERVICES)
    for name in ("ann", "bob"):
        cluster.crunch("coordinator", "user", "add", name)
    cluster.crunch("coordinator", "grant", "add", "bob", "ann")
    first = orjson.loads(cluster.crunch("coordinator", "submit", "--json", "--as", "ann", "-", said=JOB))
    second = orjson.loads(cluster.crunch("projector", "submit", "--json", "--as", "bob", "-", said=JOB))
    assert (first["counts"]["complete"], first["counts"]["copied"]) == (1, 0)
    assert (second["counts"]["complete"], second["counts"]["copied"]) == (0, 1)
    assert first["job"]["output"] == second["job"]["output"]
    assert orjson.loads(cluster.crunch("coordinator", "audit", "verify", "--json"))["wrong"] == 0


MINUTES = """
import json, ssl, sys, urllib.request as u
token = sys.stdin.readline().strip()
def get(form):
    asked = u.Request("https://api:8443/minutes." + form, headers={"Authorization": "Bearer " + token})
    return u.urlopen(asked, timeout=60, context=ssl._create_unverified_context())
for line, _ in zip(get("live"), range(300)):  # it says something where there is news, and every five seconds
    if line.startswith(b"data: "):
        hour = json.load(get("json"))
        if hour["ended"]["complete"] + hour["ended"]["copied"] >= 2 and not hour["trouble"] and not hour["missing"]:
            break
print(json.dumps(hour))
"""


def test_the_apis_page_of_minutes_is_what_the_live_views_counted(cluster: Compose) -> None:
    cluster.until_healthy(*SERVICES)
    cluster.crunch("coordinator", "user", "add", "chief", "--admin")
    cluster.crunch("coordinator", "user", "add", "dan")
    for _ in range(2):
        cluster.crunch("coordinator", "submit", "--json", "--as", "dan", "-", said=JOB)
    token = cluster.crunch("api", "token", "create", "--user", "chief")
    asked = cluster.run("exec", "-T", "views", "/opt/crunch-reuse/bin/python", "-c", MINUTES, said=token)
    hour = orjson.loads(asked.stdout)
    assert (hour["source"], hour["trouble"], hour["missing"]) == ("live views", "", [])
    assert (hour["ended"]["complete"] >= 1, hour["ended"]["copied"] >= 1) == (True, True)


def test_each_service_shows_its_figures_to_the_others(cluster: Compose) -> None:
    cluster.until_healthy(*SERVICES)
    for service in SERVICES:
        ask = f"import urllib.request as u; print(u.urlopen('http://{service}:9464/metrics').read().decode())"
        shown = cluster.run("exec", "-T", "views", "/opt/crunch-reuse/bin/python", "-c", ask).stdout
        assert b"crunch_reuse_ready 1.0" in shown, service


def test_no_process_of_ours_is_root(cluster: Compose) -> None:
    for service in SERVICES:
        assert cluster.run("exec", "-T", service, "id", "-u").stdout.strip() == b"10001"
