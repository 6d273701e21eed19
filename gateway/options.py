"""How commands are registered: the options that all of them take, and those that override the configuration."""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.config import RunnerChoice
from gateway.folders import APP
from gateway.session import Session

app = typer.Typer(
    name=APP,
    help="A computation that was already done is never done again, and two asked for at the same moment run once.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
audit_app = typer.Typer(help="Check the log against the rules.", no_args_is_help=True)
config_app = typer.Typer(help="The configuration file.", no_args_is_help=True)
user_app = typer.Typer(help="Users made on this machine.", no_args_is_help=True)
group_app = typer.Typer(help="Groups: what a group owns, its readers may see.", no_args_is_help=True)
grant_app = typer.Typer(help="Who may read what another owns.", no_args_is_help=True)
setting_app = typer.Typer(help="Numbers that all decisions depend on.", no_args_is_help=True)
token_app = typer.Typer(help="Who may use the API.", no_args_is_help=True)
repository_app = typer.Typer(help="Git repositories, by the name that jobs give.", no_args_is_help=True)
store_app = typer.Typer(help="The content store that machines share.", no_args_is_help=True)
cache_app = typer.Typer(help="Outputs that can be given again, and what that saved.", no_args_is_help=True)
for _name, _group in (
    ("audit", audit_app), ("config", config_app), ("user", user_app), ("group", group_app), ("grant", grant_app),
    ("store", store_app), ("cache", cache_app), ("setting", setting_app), ("token", token_app),
    ("repository", repository_app),
):  # fmt: skip
    app.add_typer(_group, name=_name)

DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Where everything is kept.", show_default=False)]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="Configuration file.", show_default=False)]
Debug = Annotated[bool, typer.Option("--debug", help="Show where an unexpected error came from.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Runner = Annotated[RunnerChoice | None, typer.Option(help="Isolation of tasks.", show_default="auto")]
Slots = Annotated[int | None, typer.Option(min=1, help="Tasks at one time.", show_default="one per core")]
Dsn = Annotated[str | None, typer.Option("--postgres", metavar="DSN", help="Use this Postgres server.")]
Kafka = Annotated[str | None, typer.Option("--kafka", metavar="SERVERS", help="The log is in this Kafka.")]
AsUser = Annotated[str | None, typer.Option("--as", metavar="USER", help="Act as this user.", show_default=False)]


@app.callback()
def _root(ctx: typer.Context, data_dir: DataDir = None, config_file: ConfigFile = None, debug: Debug = False) -> None:
    ctx.obj = {"data_dir": data_dir, "config_file": config_file}
    del debug  # `cli.main` looks for it: an error may come before any option is read


def command(group: typer.Typer, name: str, *more: inspect.Parameter) -> Callable[[Callable[..., int | None]], None]:
    """Register a command: its first parameter is the session, made from the options that all share, and from `more`."""

    def register(function: Callable[..., int | None]) -> None:
        _, *own = inspect.signature(function).parameters.values()
        overriding = {one.name: _OVERRIDES[one.name] for one in (*more, *_SHARED) if one.name in _OVERRIDES}

        @functools.wraps(function)
        def run(ctx: typer.Context, **values: Any) -> None:
            options = {key: values.pop(name) for name, key in overriding.items()}
            raise typer.Exit(function(_session(ctx, values, options), **values) or 0)

        run.__signature__ = inspect.Signature([_CONTEXT, *own, *more, *_SHARED])  # type: ignore[attr-defined]
        group.command(name)(run)

    return register


def option(name: str, annotation: Any, default: Any = None) -> inspect.Parameter:
    """One more option for `command`; `name` is a key of `_OVERRIDES`."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


_CONTEXT = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
_SHARED = (
    option("as_json", Json, default=False),
    option("data_dir", DataDir),
    option("config_file", ConfigFile),
    option("kafka", Kafka),
    option("dsn", Dsn),
    option("debug", Debug, default=False),
)
_OVERRIDES = {
    "kafka": "kafka.servers",
    "dsn": "postgres.dsn",
    "runner": "executor.runner",
    "slots": "executor.slots",
    "node": "executor.node",
}


def _session(ctx: typer.Context, values: dict[str, Any], options: dict[str, Any]) -> Session:
    """Take the shared options out of `values`. `options`: what overrides the configuration, by its key there."""
    root = ctx.find_root().obj
    values.pop("debug")
    data_dir = values.pop("data_dir") or root["data_dir"]
    config_file = values.pop("config_file") or root["config_file"]
    options["data.dir"] = str(data_dir) if data_dir else None
    return Session(config_file, options, values.pop("as_json"))
