"""What happened in a run, how often, and what was found: for people, and as JSON beside the history."""

from collections import Counter

import msgspec


class ChaosReport(msgspec.Struct, kw_only=True):
    """One run. `strikes`: by nemesis, how often it struck, and how often while work was in flight."""

    seed: int
    minutes: float
    runner: str = "bubblewrap"
    mutant: str = ""
    strikes: dict[str, tuple[int, int]] = {}
    jobs: dict[str, int] = {}
    commands: int = 0
    repeated_by_clients: int = 0
    records: int = 0
    repeats: int = 0
    counts: dict[str, int] = {}
    processes_started: int = 0
    ends: dict[str, int] = {}
    settled_in: float = 0.0
    answers: int = 0
    starts: int = 0
    executions: int = 0
    copies: int = 0
    rules_fired: int = 0
    audit_wrong: int = 0
    audit_speed: float = 0.0
    checkpoints: int = 0
    wrong: list[str] = []

    def idle(self) -> list[str]:
        """Nemeses that never struck while work was in flight."""
        return [name for name, (_, busy) in self.strikes.items() if not busy]

    def lines(self) -> list[str]:
        """For people."""
        jobs = ", ".join(f"{number} {state}" for state, number in sorted(self.jobs.items()))
        mutant = f", mutant {self.mutant}" if self.mutant else ""
        told = [f"chaos: seed {self.seed}, {self.minutes:g} minutes, tasks in {self.runner}{mutant}"]
        told += [
            f"  {name:<20} struck {n:>3} times, {busy:>3} with work in flight"
            for name, (n, busy) in self.strikes.items()
        ]
        told += [
            f"  {self.commands} commands ({self.repeated_by_clients} sent again); jobs: {jobs}",
            f"  {self.executions} executions granted, {self.starts} starts counted outside, {self.copies} copies",
            f"  {self.records} records, {self.repeats} of them repeats; {self.rules_fired} rules of the model fired",
            f"  {self.processes_started} processes started; how they ended: {_told(self.ends)}",
            f"  settled {self.settled_in:.1f} s after the last strike",
            f"  audit: {self.audit_wrong} wrong, {self.checkpoints} checkpoints, {self.audit_speed:.0f} records/s",
            f"  the API answered {self.answers} times",
        ]
        told += [f"  WRONG: {line}" for line in self.wrong] or ["  nothing is wrong"]
        return told


def _told(ends: dict[str, int]) -> str:
    return "; ".join(f"{number} x {what}" for what, number in Counter(ends).most_common()) or "none"


def as_json(report: ChaosReport) -> bytes:
    """Readable as it is."""
    return msgspec.json.format(msgspec.json.encode(report), indent=1)
