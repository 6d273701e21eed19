"""What a task finds in every sandbox, whoever makes it: the same paths and user, so that nothing tells two apart."""

import msgspec

from consumers.runners.port import MIB, Folders, Places

USER = 1000
HOSTNAME = "crunch"
SHARED_MEMORY = 64 * MIB
SANDBOX = Places(
    code="/code",
    inputs="/inputs",
    keep="/keep",
    output="/out",
    work="/scratch/work",
    tmp="/tmp",
    run="/run/crunch",
    bin="/opt/crunch",
)


def places_in_sandbox(folders: Folders) -> Places:
    """The same for every task that has code, and for every one that has none."""
    return SANDBOX if folders.code else msgspec.structs.replace(SANDBOX, code="")
