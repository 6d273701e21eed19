"""What may befall work in an office: an attempt that ends too late, an entry that is looked at again."""

from schemas import claims as c
from schemas.topics import Topic
from schemas.work import Ready
from tests.support.office import COUNTS, Office, spec


def ends_too_late(office: Office, root: str) -> Ready:
    """An attempt for ada's job that was given up ends all the same, after the next one has begun; the attempt."""
    office.submit("ada", root, spec("one"))
    office.settle()
    [first] = office.read_work()
    office.say(Topic.CLAIMS, c.Lost(fingerprint=first.fingerprint, token=first.token, node="n1"))
    office.run()
    return first


def is_looked_at(office: Office, root: str, name: str) -> Ready:
    """All entries have grown old when ada's job asks for one of them; the look that is asked for."""
    for partition in range(COUNTS[Topic.CLAIMS]):
        office.say(Topic.CLAIMS, c.Aged(before=10**9), partition)
    office.submit("ada", root, spec(name))
    office.settle()
    [look] = [ready for ready in office.read_work() if ready.kind == "verify"]
    return look


def is_missing(office: Office, look: Ready) -> None:
    """The look finds that a block of the entry is gone."""
    about = {"fingerprint": look.fingerprint, "entry": look.entry, "token": look.token}
    office.say(Topic.CLAIMS, c.OutputMissing(**about, block="b+1"))
    office.run()
