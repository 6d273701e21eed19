#!/usr/bin/env python3
"""Queue one task for each file of the input `tree`.

This task is pure too: when its output is reused, the tasks that it queued are created anew under the copy.
"""

import json
import os
import subprocess

HELPER = os.path.join(os.environ["CRUNCH_BIN"], "crunch-task")


def main():
    tree = os.path.join(os.environ["TASK_INPUTS"], "tree")
    tasks = [count(path) for path in files_of(tree)]
    subprocess.run([HELPER, "queue"], input=json.dumps(tasks).encode(), check=True)


def files_of(tree):
    """Paths relative to the tree, in an order that every machine finds."""
    found = []
    for folder, _, names in os.walk(tree):
        found += [os.path.relpath(os.path.join(folder, name), tree) for name in names]
    return sorted(found)


def count(path):
    """The task for one file: the keys are those of a job file; code and image are this task's own."""
    return {
        "name": path,
        "script": "count.py",
        "inputs": {"file": "tree/" + path},
        "job_parameters": ["k"],
        "is_pure": True,
    }


if __name__ == "__main__":
    main()
