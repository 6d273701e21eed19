"""What befalls the broker, the way to it, and the engine that runs containers. Each strike returns what it struck."""

from tests.chaos.field import Field
from tests.chaos.strikes import SESSION, fill
from tests.chaos.town import BROKER_JUMP


def killed(field: Field) -> str:
    """kill -9 of the broker, and a new start."""
    with field.alone("broker"):
        field.town.broker.kill()
        field.town.start_broker()
    return "broker"


def frozen(field: Field) -> str:
    """The broker holds all connections and answers nobody."""
    with field.alone("broker"):
        field.town.broker.freeze()
        try:
            field.hold(SESSION + 2)
        finally:
            field.town.broker.thaw()
    return "broker"


def clock_jumps(field: Field) -> str:
    """The broker's clock, from which every append has its time, goes ahead, then back to before what it was."""
    with field.alone("broker"):
        for jumps in (1, -1, 0):
            field.town.set_clock("broker", jumps * BROKER_JUMP)
            field.hold(3.0 if jumps else 0.0)
    return "broker"


def disk_full(field: Field) -> str:
    """The broker's disk has no room left, at which it ends; when there is room again, it is started again."""
    with field.alone("broker"):
        fill(field, field.town.folder / "broker" / "ballast", 5.0)
        ended = field.town.broker_has_ended()
        field.town.broker.kill()
        field.town.start_broker()
    return "broker" if ended else ""


def unreachable(field: Field) -> str:
    """Nobody gets through to the broker."""
    with field.alone("broker"):
        field.town.proxy.cut()
        try:
            field.hold(4.0)
        finally:
            field.town.proxy.mend()
    return "broker"


def lost_answers(field: Field) -> str:
    """Requests arrive, their answers don't: what was appended is sent again."""
    proxy = field.town.proxy
    with field.alone("broker"):
        before = proxy.lost()
        for _ in range(6):
            proxy.lose(4)
            field.hold(0.4)
        proxy.lose(0)
        lost = proxy.lost() - before
    return f"{lost} answers" if lost else ""


def late_requests(field: Field) -> str:
    """Everything takes a third of a second to arrive, and never does if who sent it is killed meanwhile."""
    with field.alone("broker"):
        field.town.proxy.hold(0.35)
        try:
            field.hold(6.0)
        finally:
            field.town.proxy.hold(0.0)
    return "broker"


def late_answers(field: Field) -> str:
    """Everything takes a third of a second longer, in which a writer may take it for lost."""
    with field.alone("broker"):
        field.town.proxy.delay(0.35)
        try:
            field.hold(4.0)
        finally:
            field.town.proxy.delay(0.0)
    return "broker"
