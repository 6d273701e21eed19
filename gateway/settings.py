"""`config check` and `config show`."""

import itertools
import json
from pathlib import Path

from gateway import config
from gateway.folders import default_config_file
from gateway.session import Session


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
    if session.as_json:
        session.result(session.loaded)
        return
    for section, settings in itertools.groupby(session.loaded.settings, lambda setting: setting.section):
        print(f"[{section}]")
        for setting in settings:
            origin = "" if setting.source == "default" else f" (from the {setting.source})"
            print(f"{setting.key} = {json.dumps(setting.value)}  # {setting.about}{origin}")
        print()
