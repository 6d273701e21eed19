"""How figures are told: percentiles, and what else the machine did meanwhile."""

import math
import os
import platform
from collections.abc import Sequence
from pathlib import Path


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that `percent` of all do not exceed (nearest rank). The values must not be empty."""
    return sorted(values)[max(math.ceil(len(values) * percent / 100), 1) - 1]


def processor_seconds(process: int) -> float:
    """Processor time that the process has had so far, its threads' and the kernel's for it: no other load is in it."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def machine() -> str:
    """One line: processor, cores, interpreter, and the load average, since others may use the machine too."""
    load = " ".join(f"{value:.2f}" for value in os.getloadavg())
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{_processor()}, {os.cpu_count()} cores, {python}, load average {load}"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
