"""Jobs for people to look at: a first task that queues one for each sample, which ends when the test lets it.

lab = Laboratory(folder)
file = lab.job("panel", ["NA12878", "NA12891"])      # to be submitted
lab.open()                                           # what runs goes on, and ends
lab.close()
"""

import json
import os
from pathlib import Path

import yaml

PLAN = """
import json, os, subprocess, sys
samples = json.load(open(os.path.join(os.environ["TASK_INPUTS"], "samples", "samples.json")))
print("planning", len(samples), "samples")
same = {"script": "align.py", "is_pure": True, "job_parameters": ["reference", "gate"]}
tasks = [dict(same, name="align " + sample, parameters={"sample": sample}) for sample in samples]
helper = os.path.join(os.environ["CRUNCH_BIN"], "crunch-task")
subprocess.run([helper, "queue"], input=json.dumps(tasks).encode(), check=True)
"""
ALIGN = r"""
import json, os, sys
sample = json.loads(os.environ["TASK_PARAMETERS"])["sample"]
print("reads of", sample, "against", os.environ["JOB_PARAMETER_REFERENCE"], flush=True)
print("\x1b[31mred\x1b[0m </pre><script>document.title = 'broken'</script> \x1b]0;title\x07 \u202egnp.exe", flush=True)
open(os.environ["JOB_PARAMETER_GATE"]).close()  # when the test opens the other end
with open(os.path.join(os.environ["TASK_OUTPUT"], "aligned.txt"), "w") as output:
    output.write(sample + "\n")
"""
FICKLE = """
import os
with open(os.environ["JOB_PARAMETER_SOURCE"]) as source:
    calls = source.read()
for name, text in (("calls.vcf", calls), ("header.txt", "the same in every run")):
    with open(os.path.join(os.environ["TASK_OUTPUT"], name), "w") as output:
        output.write(text)
"""
HOSTILE = "<img src=x onerror=document.title='broken'>\u202e&amp;"


class Laboratory:
    """Scripts, job files and a gate below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        scripts = folder / "crunch_scripts"
        scripts.mkdir(parents=True)
        for name, text in (("plan.py", PLAN), ("align.py", ALIGN), ("fickle.py", FICKLE)):
            (scripts / name).write_text(f"#!/usr/bin/env python3\n{text}")
            (scripts / name).chmod(0o755)
        self.gate = folder / "gate"
        os.mkfifo(self.gate)
        self.source = folder / "source"
        self._opened: int | None = None

    def job(self, name: str, samples: list[str]) -> Path:
        """A job of one task for each sample."""
        inputs = self.folder / f"{name}-samples"
        inputs.mkdir()
        (inputs / "samples.json").write_text(json.dumps(samples))
        parameters = {"reference": "hg38", "gate": str(self.gate)}
        return self._file(name, {"script": "plan.py", "inputs": {"samples": str(inputs)}, "parameters": parameters})

    def fickle(self, name: str, text: str, *, refresh: bool = False) -> Path:
        """A job of one task that says it is pure, and whose output is this text all the same."""
        self.source.write_text(text)
        parameters = {"source": str(self.source)}
        job = {"script": "fickle.py", "parameters": parameters, "job_parameters": ["source"], "refresh": refresh}
        return self._file(name, job)

    def open(self) -> None:
        """Let all tasks go on that wait at the gate, or will."""
        self._opened = os.open(self.gate, os.O_RDWR | os.O_NONBLOCK)

    def close(self) -> None:
        """Let nothing wait any more."""
        if self._opened is None:
            self.open()
        os.close(self._opened)

    def _file(self, name: str, job: dict[str, object]) -> Path:
        file = self.folder / f"{len(list(self.folder.glob('*.yaml')))}.yaml"
        whole = {"name": name, "repository": "crunch_scripts", "is_pure": True, "timeout": "5m"} | job
        file.write_text(yaml.safe_dump(whole, allow_unicode=True))
        return file
