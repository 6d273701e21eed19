"""An operator judges executions by command, after seeing where their outputs went."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.api import Site
from tests.support.crunch import Crunch, one_line


@pytest.fixture
def crunch(api_site: Site) -> Crunch:
    api_site.person("boss", is_admin=True)
    return api_site.crunch


def submitted(crunch: Crunch, file: Path) -> Any:
    """The first task of a job, at its end."""
    root = crunch.submit(file)
    crunch.until_state(root, "complete")
    return crunch.tasks(root)[0]


def job(folder: Path, text: str) -> Path:
    file = folder / "job.json"
    file.write_text(f'{{"name": "judged", "command": "echo {text} > $TASK_OUTPUT/x", "is_pure": true}}')
    return file


def judge(crunch: Crunch, *words: str) -> Any:
    done = crunch.run(*words, "--as", "boss", "--json")
    assert done.code == 0, done.err
    return done.json


def test_what_received_an_output_is_shown_before_anything_is_done(crunch: Crunch, tmp_path: Path) -> None:
    file = job(tmp_path, f"wrong {tmp_path}")
    one, two = submitted(crunch, file), submitted(crunch, file)
    assert (one.state, two.state) == ("complete", "copied")
    shown = judge(crunch, "invalidate", two.task)
    assert [e["token"] for e in shown["executions"]] == [one.token]
    assert {(each["task"]["task"], each["how"]) for each in shown["reached"]["tasks"]} == {
        (one.task, "executed"),
        (two.task, "copied"),
    }
    assert {each["root"] for each in shown["reached"]["jobs"]} == {one.root, two.root}
    assert (shown["commands"], shown["done"]) == (1, False)
    assert submitted(crunch, file).state == "copied"
    done = judge(crunch, "invalidate", two.task, "--reason", "bad disk", "--mark", "--yes")
    assert (done["done"], len(done["reached"]["tasks"])) == (True, 3)
    again = submitted(crunch, file)
    explained = crunch.run("explain", again.task, "--json").json["explanation"]
    assert [why["code"] for why in explained["why_executed"]] == ["invalidated"]
    assert "bad disk" in explained["why_executed"][0]["text"]
    assert "marked by boss: bad disk" in crunch.run("explain", two.task).out


def test_quarantine_takes_out_of_use_until_it_is_released(crunch: Crunch, tmp_path: Path) -> None:
    file = job(tmp_path, f"odd {tmp_path}")
    one = submitted(crunch, file)
    node = judge(crunch, "quarantine", one.task)["executions"][0]["node"]
    listed = judge(crunch, "quarantine", "--node", node, "--since", "1h", "--fingerprint", one.fingerprint)
    assert [e["token"] for e in listed["executions"]] == [one.token]
    judge(crunch, "quarantine", "--fingerprint", one.fingerprint, "--yes")
    two = submitted(crunch, file)
    explained = crunch.run("explain", two.task, "--json").json["explanation"]
    assert (two.state, [why["code"] for why in explained["why_executed"]]) == ("complete", ["quarantined"])
    judge(crunch, "release", one.task, "--yes")
    assert submitted(crunch, file).state == "copied"


def test_what_no_command_is_about_is_counted(crunch: Crunch, tmp_path: Path) -> None:
    file = tmp_path / "job.json"
    file.write_text('{"command": "echo mine > $TASK_OUTPUT/x", "is_pure": false}')
    mine, shared = submitted(crunch, file), submitted(crunch, job(tmp_path, f"shared {tmp_path}"))
    [node] = {e["node"] for e in judge(crunch, "invalidate", shared.task)["executions"]}
    shown = judge(crunch, "invalidate", "--node", node)
    assert mine.token in shown["left_alone"]
    assert shared.token not in shown["left_alone"]
    assert shown["commands"] + len(shown["left_alone"]) == len(shown["executions"])
    assert "left alone, 0 of them still running" in crunch.run("invalidate", "--node", node, "--as", "boss").out


def test_keeping_one_of_two_outputs_reaches_what_was_made_from_the_other(crunch: Crunch, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("old")
    old = submitted(crunch, of_file(tmp_path, source))
    below = tmp_path / "below.json"
    below.write_text(
        json.dumps({"command": "cat $TASK_INPUTS/in/x > $TASK_OUTPUT/y", "inputs": {"in": old.output}, "is_pure": True})
    )
    made = submitted(crunch, below)
    source.write_text("new")
    new = submitted(crunch, of_file(tmp_path, source, refresh=True))
    assert new.output != old.output
    shown = judge(crunch, "invalidate", "--keep", new.task, "--downstream")
    assert [e["token"] for e in shown["executions"]] == [old.token, made.token]
    assert (shown["commands"], shown["done"]) == (2, False)
    judge(crunch, "invalidate", "--keep", new.task, "--downstream", "--yes")
    again = submitted(crunch, of_file(tmp_path, source))
    assert (again.state, again.output) == ("copied", new.output)
    assert submitted(crunch, below).state == "complete", "what was made from the wrong output is made anew"


def test_who_makes_room_in_the_cache_is_told_of_outputs_that_wait_for_a_decision(
    crunch: Crunch, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.write_text("one")
    one = submitted(crunch, of_file(tmp_path, source))
    source.write_text("other")
    other = submitted(crunch, of_file(tmp_path, source, refresh=True))
    said = crunch.run("cache", "rm", one.task, "--yes")
    assert said.code == 0, said.err
    assert "0 entries: removed" in said.out
    [line] = [line for line in said.out.splitlines() if line.startswith("left alone")]
    assert one.task in line
    assert "`crunch-reuse release TASK`, or `crunch-reuse invalidate --keep TASK`" in line
    assert submitted(crunch, of_file(tmp_path, source)).state == "complete"
    judge(crunch, "invalidate", "--keep", other.task, "--yes")
    gone = crunch.run("cache", "rm", other.task, "--yes", "--json").json
    assert ([e["token"] for e in gone["entries"]], gone["left_alone"]) == ([other.token], [])


def of_file(folder: Path, source: Path, **more: Any) -> Path:
    """A job whose output is what the file holds when it runs, which no fingerprint knows."""
    file = folder / "of-file.json"
    file.write_text(json.dumps({"command": f"cat {source} > $TASK_OUTPUT/x", "is_pure": True} | more))
    return file


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["quarantine", "zzzzz-8i9sb-aaaaaaaaaaaaaaa", "--as", "boss"], "nothing that could be reused was done for"),
        (["quarantine", "--as", "boss"], "say which executions"),
        (["invalidate", "--node", "n1", "--since", "120", "--as", "boss"], "--since: '120' is no time"),
        (["invalidate", "--keep", "zzzzz-8i9sb-aaaaaaaaaaaaaaa", "--as", "boss"], "--keep: there is no execution"),
        (["invalidate", "--keep", "zzzzz-8i9sb-aaaaaaaaaaaaaaa", "--node", "n1", "--as", "boss"], "leave the rest out"),
        (["quarantine", "--script", "x.py", "--commits", "a..b", "--as", "boss"], "name the --repository"),
        (["release", "--node", "n1"], "is no admin"),
    ],
)
def test_what_can_not_be_judged_is_named(crunch: Crunch, words: list[str], told: str) -> None:
    refused = crunch.run(*words)
    assert refused.code == 3
    assert told in one_line(refused)
