"""A task's container, as its engine is told to make it: every promise about what it sees and may use stands here.

No network; a read-only root; no capability and no way to one; a user that is not root; bounded memory, processors,
processes and scratch; its code and declared inputs read-only, and its output directory.
"""

import os
import posixpath
from collections.abc import Container, Iterator, Mapping
from typing import Any

from consumers.runners.port import Command, Folders, Limits
from consumers.runners.sandbox import HOSTNAME, SANDBOX, SHARED_MEMORY, USER

NODE_LABEL = "crunch-reuse.node"
MARK_LABEL = "crunch-reuse.mark"

_PERIOD_US = 100_000
_EMPTY = "ro,nosuid,nodev,noexec,size=4k"
# Read only by an executor that adopts the container. About as much as a task's log holds.
_KEPT_OUTPUT = {"max-size": "8m", "max-file": "2", "compress": "false"}


def configuration(image: str, attributes: Mapping[str, Any], command: Command) -> dict[str, Any]:
    """What `create_container` is called with; under `host_config`, what `create_host_config` is.

    `attributes`: the image's, as the engine shows them.
    """
    user = _user(command.folders)
    mounts, tmpfs = list(_mounts(command.folders)), _tmpfs(user, command.limits)
    ours = {*tmpfs, *(mount["Target"] for mount in mounts)}
    return {
        "image": image,
        "entrypoint": list(command.argv),
        "environment": dict(command.environment) | _path(attributes),
        "working_dir": SANDBOX.work,
        "user": user,
        "hostname": HOSTNAME,
        "network_disabled": True,
        "use_config_proxy": False,
        "labels": {NODE_LABEL: command.node, MARK_LABEL: command.mark},
        "host_config": {
            "network_mode": "none",
            "read_only": True,
            "init": True,  # the task as process 1 could not be sent a signal that it does not handle
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges:true"],
            "mounts": mounts,
            "tmpfs": tmpfs | _volumes(attributes, ours),
            "log_config": {"Type": "local", "Config": _KEPT_OUTPUT},
            **_limits(command.limits),
        },
    }


def _limits(limits: Limits) -> dict[str, Any]:
    largest_file = max(limits.output, limits.scratch)
    return {
        "mem_limit": limits.memory,
        "memswap_limit": limits.memory,
        "cpu_period": _PERIOD_US,
        "cpu_quota": limits.cores * _PERIOD_US,
        "pids_limit": limits.processes,
        "shm_size": SHARED_MEMORY,
        "ulimits": [
            {"Name": "core", "Soft": 0, "Hard": 0},
            {"Name": "fsize", "Soft": largest_file, "Hard": largest_file},
        ],
    }


def _tmpfs(user: str, limits: Limits) -> dict[str, str]:
    uid, gid = user.split(":")
    options = f"rw,exec,nosuid,nodev,size={max(limits.scratch, 1)},uid={uid},gid={gid}"
    return {SANDBOX.work: f"{options},mode=0755", SANDBOX.tmp: f"{options},mode=1777"}


def _volumes(attributes: Mapping[str, Any], ours: Container[str]) -> dict[str, str]:
    """Something empty where the image has volumes, and we have nothing of our own.

    The engine would make each, for the task to write on the node's disk without bound; none that is only read.
    """
    declared = map(posixpath.normpath, attributes.get("Config", {}).get("Volumes") or ())
    return {path: _EMPTY for path in declared if path not in ours}


def _mounts(folders: Folders) -> Iterator[dict[str, Any]]:
    shown = {f"{SANDBOX.keep}/{pdh}": path for pdh, path in folders.collections.items()}
    shown |= {SANDBOX.inputs: folders.links, SANDBOX.bin: folders.bin, SANDBOX.run: folders.run}
    if folders.code:
        shown[SANDBOX.code] = folders.code
    for target, source in shown.items():
        yield {"Target": target, "Source": str(source), "Type": "bind", "ReadOnly": True}
    yield {"Target": SANDBOX.output, "Source": str(folders.output), "Type": "bind", "ReadOnly": False}


def _user(folders: Folders) -> str:
    """Never root: a fixed user where we are root and can give it the output directory, else ourselves."""
    if os.geteuid() != 0:
        return f"{os.geteuid()}:{os.getegid()}"
    os.chown(folders.output, USER, USER)
    return f"{USER}:{USER}"


def _path(attributes: Mapping[str, Any]) -> dict[str, str]:
    """The image's own search path: it knows where its programs are."""
    settings = dict(item.split("=", 1) for item in attributes.get("Config", {}).get("Env") or [] if "=" in item)
    return {"PATH": f"{SANDBOX.bin}:{settings['PATH']}"} if settings.get("PATH") else {}
