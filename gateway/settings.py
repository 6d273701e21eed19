"""`config check` and `config show`."""

import itertools
import json
import re
from pathlib import Path

from gateway import config
from gateway.folders import default_config_file
from gateway.session import Session

_PASSWORD = re.compile(r"(?<=password=)(?:'[^']*'|[^\s&']+)|(?<=:)[^:@/\s]+(?=@)")


def check(session: Session, file: Path | None) -> None:
    """Say that the file is right; Refused, with the key and what is wrong with it, where it is not."""
    if file is None:
        checked = session.loaded.file
    else:
        config.read_file(file)
        checked = file
    if session.as_json:
        session.result({"file": str(checked) if checked else None, "ok": True})
    session.say(
        f"{checked}: in order" if checked else f"no configuration file at {default_config_file()}: defaults count"
    )


def show(session: Session) -> None:
    """Print the configuration in effect as TOML that `--config` would take, each value with its meaning and origin."""
    shown = {f"{one.section}.{one.key}": _without_password(one.value) for one in session.loaded.settings}
    if session.as_json:
        file = str(session.loaded.file) if session.loaded.file else None
        session.result({"file": file, "values": shown, "origins": _origins(session)})
        return
    for section, settings in itertools.groupby(session.loaded.settings, lambda setting: setting.section):
        print(f"[{section}]")
        for setting in settings:
            origin = "" if setting.source == "default" else f" (from the {setting.source})"
            value = json.dumps(shown[f"{section}.{setting.key}"])
            print(f"{setting.key} = {value}  # {setting.about}{origin}")
        print()


def _without_password(value: str | int) -> str | int:
    return _PASSWORD.sub("***", value) if isinstance(value, str) else value


def _origins(session: Session) -> dict[str, str]:
    return {f"{one.section}.{one.key}": one.source for one in session.loaded.settings}
