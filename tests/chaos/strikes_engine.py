"""What befalls the engine that runs containers. Each strike returns what it struck."""

from tests.chaos.field import Field


def killed(field: Field) -> str:
    """kill -9 of the engine, and a new start."""
    with field.alone("engine"):
        field.town.engine.kill()
        field.town.engine.start()
    return "engine"


def restarted(field: Field) -> str:
    """The engine is stopped in order, at which it ends what it runs, and is started again."""
    with field.alone("engine"):
        field.town.engine.stop()
        field.hold(2.0)
        field.town.engine.start()
    return "engine"


def frozen(field: Field) -> str:
    """The engine holds all connections and answers nobody."""
    with field.alone("engine"):
        field.town.engine.freeze()
        try:
            field.hold(8.0)
        finally:
            field.town.engine.thaw()
    return "engine"
