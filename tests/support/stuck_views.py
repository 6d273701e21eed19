"""`crunch-reuse views` as Faust runs it when it forgets to read a partition: run as a program, with its words."""

from typing import Any

from gateway.cli import main
from streams import views

FORGOTTEN = 1
app_of = views.app_of


def stuck_app_of(settings: views.Settings, beat: views.Beat) -> Any:
    """The app, which pauses a partition whenever Faust resumes it."""
    app = app_of(settings, beat)

    async def forget() -> None:
        app.consumer.pause_partitions({place for place in app.consumer.assignment() if place.partition == FORGOTTEN})

    app.timer(interval=0.1)(forget)
    return app


if __name__ == "__main__":
    views.app_of = stuck_app_of
    main()
