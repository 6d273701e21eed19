"""The configuration file: its sections, their defaults, and how the environment overrides them.

What decisions depend on is not here: that goes through the log (`coordinator.config`). This file says where things are
and how much of the machine they may use. Order: default, file, environment (`CRUNCH_REUSE_<SECTION>_<KEY>`), option.
"""

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

from gateway.folders import Folders, RemoteStore, default_config_file, default_data_folder
from gateway.problems import Refused

if TYPE_CHECKING:
    from streams.kafka_settings import KafkaSettings

PREFIX = "CRUNCH_REUSE_"
CONFIG_FILE_VARIABLE = "CRUNCH_REUSE_CONFIG"
MAX_FILE_BYTES = 1024 * 1024

RunnerChoice = Literal["auto", "docker", "bubblewrap", "process"]
PurityMode = Literal["enforce", "monitor"]
_CHOICES = {"executor.runner": RunnerChoice, "api.purity": PurityMode}
Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Some = Annotated[int, Meta(ge=1, le=2**31 - 1)]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file."""


class Data(Section, frozen=True):
    """Where everything is kept."""

    dir: Annotated[str, Meta(description="data folder; empty: this user's own below XDG_DATA_HOME")] = ""


class Postgres(Section, frozen=True):
    """The database behind the log and the read model."""

    dsn: Annotated[str, Meta(description="connection string of a server of yours; empty: one is started by `up`")] = ""


class Kafka(Section, frozen=True):
    """The log of many machines."""

    servers: Annotated[
        str, Meta(description="brokers behind the log, host:port with commas between; empty: the log is in Postgres")
    ] = ""
    prefix: Annotated[str, Meta(description="before each topic's name: several logs have room in one cluster")] = (
        "crunch-reuse."
    )
    replication: Annotated[
        Count, Meta(description="copies of each record in topics made; 0: three, or fewer brokers")
    ] = 0
    options: Annotated[
        str, Meta(description="options of librdkafka, name=value with spaces between: TLS, SASL and all others")
    ] = ""

    def settings(self, patience: float) -> "KafkaSettings":
        """For the adapter. `patience`: seconds in which brokers that went away may come back. Raises Refused."""
        from streams.kafka_settings import KafkaSettings, parse_options  # loads Kafka's client, which few need

        try:
            options = parse_options(self.options)
        except ValueError as error:
            raise Refused(f"kafka.options: {error}") from error
        return KafkaSettings(
            servers=self.servers, prefix=self.prefix, replication=self.replication, options=options, patience=patience
        )


class Store(Section, frozen=True):
    """Content: code, inputs, outputs, logs."""

    directory: Annotated[
        str, Meta(description="folder that all machines share, made with `store create`; empty: in the data folder")
    ] = ""
    url: Annotated[
        str,
        Meta(description="https://host:port of an API whose Keep is the store; empty: a folder is"),
    ] = ""
    token: Annotated[str, Meta(description="file with a token for it; `token create --scope store` makes one")] = ""
    certificate: Annotated[str, Meta(description="file with the certificates to trust there; empty: the system's")] = ""
    signing_key: Annotated[
        str, Meta(description="file with an Arvados cluster's blob signing key; empty: nothing is signed")
    ] = ""
    signing_ttl: Annotated[Some, Meta(description="seconds that the cluster's signatures are good for")] = (
        14 * 24 * 3600
    )
    replicas: Annotated[Some, Meta(description="copies that are wanted of a block there")] = 1

    def remote(self) -> RemoteStore | None:
        """The store over HTTP; None: it is a folder."""
        if not self.url:
            return None
        return RemoteStore(
            url=self.url,
            token=_path(self.token),
            certificate=str(_path(self.certificate) or ""),
            signing_key=_path(self.signing_key),
            signing_ttl=self.signing_ttl,
            replicas=self.replicas,
        )


class Snapshots(Section, frozen=True):
    """States of the machines: who takes a partition over need not read it from the beginning."""

    directory: Annotated[
        str, Meta(description="folder that all coordinators share; empty: in the data folder, for one machine")
    ] = ""


class Executor(Section, frozen=True):
    """Where tasks run, and how much of this machine they may use."""

    runner: Annotated[
        RunnerChoice,
        Meta(description="isolation; auto: docker for a task that names an image, else bubblewrap, else process"),
    ] = "auto"
    slots: Annotated[Count, Meta(description="tasks at one time; 0: one for each core")] = 0
    verify_slots: Annotated[Some, Meta(description="verifications of entries at one time, in slots of their own")] = 2
    memory: Annotated[Count, Meta(description="MiB that tasks may use together; 0: all of this machine's")] = 0
    scratch: Annotated[Count, Meta(description="MiB of scratch that tasks may use together; 0: what is free now")] = 0
    node: Annotated[
        str, Meta(max_length=64, description="this node's name; empty: this host's for `executor`, `local` for `up`")
    ] = ""
    pool: Annotated[str, Meta(max_length=64, description="pool of nodes it belongs to")] = "default"
    drain: Annotated[
        Count,
        Meta(description="seconds that tasks may go on once `executor` is to end; then they are handed over"),
    ] = 30
    registry_logins: Annotated[
        str, Meta(description="file as Docker's client keeps it: logins, or who knows them; empty: this user's own")
    ] = ""
    api: Annotated[
        str, Meta(description="host:port of the API, for tasks judged by their own record and for proofs; empty: none")
    ] = ""
    keep: Annotated[str, Meta(description="host:port of Keep, for the same tasks; empty: the API says")] = ""
    keep_mount: Annotated[
        Count, Meta(description="MiB, together, of the collections named in parameters that a task finds by their hash")
    ] = 4096
    token_key: Annotated[
        str,
        Meta(description="file with the key of tasks' tokens, the same for API and nodes; empty: in the data folder"),
    ] = ""


class Submit(Section, frozen=True):
    """What `submit` does where its options say nothing."""

    user: Annotated[str, Meta(description="login name to submit as; empty: that of the operating system")] = ""


class Janitor(Section, frozen=True):
    """Ageing: which entries are looked at again before their output is given away."""

    verified_for: Annotated[
        Some, Meta(description="minutes that an entry counts as verified; then it is verified before the next copy")
    ] = 24 * 60


class Api(Section, frozen=True):
    """The Arvados v1 API, which `up` and `api` serve over https."""

    listen: Annotated[
        str, Meta(description="address it listens at; empty: `up` serves none; not loopback: other machines reach it")
    ] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="its port; 0: any free one")] = 0
    views: Annotated[
        str,
        Meta(description="http://host:port of each worker of the live views, commas between; empty: Postgres is asked"),
    ] = ""
    purity: Annotated[
        PurityMode, Meta(description="a pure task asks for more than it may: enforce: refused; monitor: it is impure")
    ] = "enforce"

    @property
    def view_urls(self) -> tuple[str, ...]:
        """What `views` names."""
        return tuple(url.strip().rstrip("/") for url in self.views.split(",") if url.strip())


class Metrics(Section, frozen=True):
    """What each long-running process shows to who watches over it, over http: /metrics, /healthz, /readyz."""

    listen: Annotated[str, Meta(description="address it listens at; empty: nowhere")] = ""
    port: Annotated[
        int, Meta(ge=0, le=65535, description="its port; 0: any free one, which the process says when it starts")
    ] = 9464


class Traces(Section, frozen=True):
    """Traces that follow a task through all processes, for OpenTelemetry."""

    endpoint: Annotated[
        str,
        Meta(description="where spans go by OTLP over http, as http://localhost:4318/v1/traces; empty: none are made"),
    ] = ""


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    data: Data = Data()
    postgres: Postgres = Postgres()
    kafka: Kafka = Kafka()
    store: Store = Store()
    snapshots: Snapshots = Snapshots()
    executor: Executor = Executor()
    submit: Submit = Submit()
    janitor: Janitor = Janitor()
    api: Api = Api()
    metrics: Metrics = Metrics()
    traces: Traces = Traces()

    @property
    def data_folder(self) -> Path:
        """The data folder as an absolute path."""
        return _path(self.data.dir) or default_data_folder()

    @property
    def folders(self) -> Folders:
        """Where everything is kept."""
        shared = _path(self.store.directory), _path(self.snapshots.directory)
        return Folders(self.data_folder, *shared, self.store.remote())


def _path(text: str) -> Path | None:
    return Path(text).expanduser().absolute() if text else None


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One effective value and where it comes from: default, file, environment or option."""

    section: str
    key: str
    value: str | int
    source: str
    about: str


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration in effect. `file`: the one that was read, None if there is none. `settings`: its origins."""

    config: Config
    file: Path | None
    settings: tuple[Setting, ...]


def load(
    file: Path | None = None, environment: Mapping[str, str] = os.environ, options: Mapping[str, Any] | None = None
) -> Loaded:
    """Read `file` (default: the one the environment names, else this user's own if it exists) and what overrides it.

    `options`: dotted key to value, as given on the command line; None: not given. Raises Refused naming key and cause.
    """
    path, must_exist = _which(file, environment)
    table = read_file(path) if must_exist or path.exists() else None
    layers = [
        ("file", _flat(table or {})),
        ("environment", dict(_from_environment(environment))),
        ("option", {key: value for key, value in (options or {}).items() if value is not None}),
    ]
    merged = {key: value for _, layer in layers for key, value in layer.items()}
    config = _convert(_nested(merged), "command line")
    settings = tuple(_settings(config, layers))
    return Loaded(config=config, file=path if table is not None else None, settings=settings)


def read_file(path: Path) -> dict[str, Any]:
    """The file as tables, checked: unknown keys and wrong values are refused, with the key and a near match."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise Refused(f"{path}: larger than {MAX_FILE_BYTES} bytes: this is no configuration file")
        table = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}: name a configuration file that can be read") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Refused(f"{path}: not TOML: {error}") from error
    _convert(table, str(path))
    return table


def _which(file: Path | None, environment: Mapping[str, str]) -> tuple[Path, bool]:
    if file is not None:
        return file, True
    if environment.get(CONFIG_FILE_VARIABLE):
        return Path(environment[CONFIG_FILE_VARIABLE]), True
    return default_config_file(), False


def _convert(table: dict[str, Any], source: str) -> Config:
    _refuse_unknown(table, source)
    try:
        return msgspec.convert(table, Config)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `$.")
        raise Refused(f"{source}: {path.rstrip('`')}: {_spelled_out(text, path.rstrip('`'))}") from error


def _spelled_out(text: str, key: str) -> str:
    return f"{text}: one of {', '.join(get_args(_CHOICES[key]))}" if "enum" in text and key in _CHOICES else text


def _refuse_unknown(table: dict[str, Any], source: str) -> None:
    for section, value in table.items():
        if section not in Config.__struct_fields__:
            raise Refused(f"{source}: unknown section [{section}]{_near(section, Config.__struct_fields__)}")
        if not isinstance(value, dict):
            raise Refused(f"{source}: {section} is a section: write [{section}]")
        known = _fields(section)
        for key in value:
            if key not in known:
                raise Refused(f"{source}: unknown key {section}.{key}{_near(key, known)}")


def _near(name: str, known: tuple[str, ...]) -> str:
    matches = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f": did you mean {matches[0]}?" if matches else f": one of {', '.join(known)}"


def _fields(section: str) -> tuple[str, ...]:
    return tuple(type(getattr(Config(), section)).__struct_fields__)


def _from_environment(environment: Mapping[str, str]) -> Iterator[tuple[str, str | int]]:
    for variable in sorted(environment):
        section, _, key = variable.removeprefix(PREFIX).lower().partition("_")
        if not variable.startswith(PREFIX) or section not in Config.__struct_fields__:
            continue
        if key not in _fields(section):
            raise Refused(f"environment: {variable} sets nothing{_near(key, _fields(section))}")
        yield f"{section}.{key}", _value(section, key, variable, environment[variable])


def _value(section: str, key: str, variable: str, text: str) -> str | int:
    is_text = isinstance(getattr(getattr(Config(), section), key), str)
    try:
        value = text if is_text else int(text)
    except ValueError as error:
        raise Refused(f"environment: {variable}: {text[:80]!r} is not a whole number") from error
    _convert({section: {key: value}}, f"environment: {variable}")
    return value


def _flat(table: dict[str, Any]) -> dict[str, Any]:
    return {f"{section}.{key}": value for section, keys in table.items() for key, value in keys.items()}


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for dotted, value in flat.items():
        section, _, key = dotted.partition(".")
        table.setdefault(section, {})[key] = value
    return table


def _settings(config: Config, layers: list[tuple[str, dict[str, Any]]]) -> Iterator[Setting]:
    for section in Config.__struct_fields__:
        values = getattr(config, section)
        for field in msgspec.inspect.type_info(type(values)).fields:  # type: ignore[attr-defined]
            dotted = f"{section}.{field.name}"
            sources = [name for name, layer in layers if dotted in layer]
            yield Setting(
                section=section,
                key=field.name,
                value=getattr(values, field.name),
                source=sources[-1] if sources else "default",
                about=field.type.extra_json_schema["description"],
            )
