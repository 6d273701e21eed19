"""The claims machine against the simulator's independent model, whatever is said, in whatever order, twice or late.

Two lives of it: one in which people come to see and stop seeing each other's work, one in which outputs differ and
operators judge them. The model knows no rule of the machine's, and raises `Broken` with the invariant's number.
"""

from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from coordinator.claims import Claims
from schemas import claims as c
from schemas.reasons import Failure
from schemas.settings import ConfigSet, Forwarded, GrantRemoved, GrantSet, GroupSet, UserSet
from schemas.work import Ready
from tests.simulation.model_claims import ClaimsModel
from tests.support import mutations
from tests.support.given import Given

PEOPLE, GROUPS, WORK = ["ada", "bob", "cyd"], ["lab", "den"], ["a" * 64, "b" * 64]
person = st.sampled_from(PEOPLE)
anyone = st.sampled_from(PEOPLE + GROUPS)
work = st.sampled_from(WORK)
number = st.integers(0, 7)  # counted from the newest: 0 is the last one


class AgainstTheModel(RuleBasedStateMachine):
    """People who ask, executors that answer, in both lives."""

    def __init__(self) -> None:
        super().__init__()
        self.world = Given(Claims())
        self.model = ClaimsModel(Counter(), {})
        self.positions = 0
        self.tasks: list[tuple[str, str]] = []  # fingerprint and uuid
        self.runs: list[Ready] = []
        self.looks: list[Ready] = []
        for name in PEOPLE:
            self.set(UserSet(user=name, name=name))
        for group, owner in zip(GROUPS, PEOPLE, strict=False):
            self.set(GroupSet(group=group, name=group, owner=owner))

    def set(self, change) -> None:
        self.positions += 1
        self.say(Forwarded(change=change, position=self.positions))

    def say(self, body) -> None:
        self.world.when(body)
        outputs = [(output.topic, output.body) for output in self.world.outputs]
        if isinstance(body, Forwarded):
            self.model.forwarded(body)
        else:
            _, answer = outputs.pop()
            self.model.judge(body, len(self.world.seen) - 1, outputs, answer)
        for ready in self.world.bodies(Ready):
            (self.looks if ready.kind == "verify" else self.runs).append(ready)

    def newest(self, known, number):
        return known[-1 - number % len(known)] if known else None

    @rule(
        owner=person, fingerprint=work, cores=st.sampled_from([1, 1, 2]), refresh=st.sampled_from([False] * 5 + [True]),
        by_inputs=st.sampled_from([False, False, True]),
    )  # fmt: skip
    def asks(self, owner, fingerprint, cores, refresh, by_inputs):
        task = f"t{len(self.tasks)}"
        self.tasks.append((fingerprint, task))
        more = {"cores": cores, "refresh": refresh, "by_inputs": by_inputs}
        self.say(c.Requested(fingerprint=fingerprint, task=task, root=f"j{task}", owner=owner, **more))

    @rule(number=number, runner=st.sampled_from(["bubblewrap"] * 4 + ["process"]))
    def starts(self, number, runner):
        if run := self.newest(self.runs, number):
            about = {"fingerprint": run.fingerprint, "token": run.token, "node": "n", "incarnation": "i"}
            self.say(c.Started(**about, runner=runner))

    @rule(number=number, output=st.sampled_from(["one"] * 4 + ["two"]), code=st.sampled_from([0] * 5 + [1, 111]))
    def exits(self, number, output, code):
        if run := self.newest(self.runs, number):
            about = {"fingerprint": run.fingerprint, "token": run.token, "node": "n"}
            self.say(c.Exited(**about, exit_code=code, output="" if code else output))

    @rule(number=number)
    def its_node_is_lost(self, number):
        if run := self.newest(self.runs, number):
            self.say(c.Lost(fingerprint=run.fingerprint, token=run.token, node="n", failure=Failure.NODE))

    @rule(number=number)
    def turns_out_impure(self, number):
        if run := self.newest(self.runs, number):
            self.say(c.PurityLost(fingerprint=run.fingerprint, token=run.token, access="/etc/passwd"))

    @rule(number=number)
    def withdraws(self, number):
        if task := self.newest(self.tasks, number):
            fingerprint, uuid = task
            self.say(c.Withdrawn(fingerprint=fingerprint, task=uuid, root=f"j{uuid}"))

    @rule()
    def entries_age(self):
        self.say(c.Aged(before=len(self.world.seen)))

    @rule(number=number, is_there=st.sampled_from([True, True, True, False]), proved=st.booleans())
    def is_looked_at(self, number, is_there, proved):
        if look := self.newest(self.looks, number):
            about = {"fingerprint": look.fingerprint, "token": look.token, "entry": look.entry}
            if is_there:
                self.say(c.Verified(**about, proved=proved and bool(look.prove)))
            else:
                self.say(c.OutputMissing(**about, block="b+1"))

    @rule(first=person, second=person, fingerprint=work)
    def one_of_two_is_lost(self, first, second, fingerprint):
        self.asks(first, fingerprint, cores=1, refresh=False, by_inputs=False)
        self.exits(0, "one", code=0)
        self.entries_age()
        self.asks(first, fingerprint, cores=1, refresh=False, by_inputs=False)
        self.asks(second, fingerprint, cores=1, refresh=True, by_inputs=False)
        self.exits(0, "two", code=0)
        self.is_looked_at(0, is_there=False, proved=False)

    @rule()
    def another_process_goes_on(self):
        self.world.restarted()

    def teardown(self):
        """Everything ends, and nobody is left waiting."""
        for _ in range(30):
            claims = self.model.claims
            for run in [run for run in self.runs if claims[run.fingerprint].live(run.token)]:
                self.say(c.Exited(fingerprint=run.fingerprint, token=run.token, node="n", exit_code=0, output="one"))
            for look in [look for look in self.looks if look.token in claims[look.fingerprint].looks]:
                self.say(c.Verified(fingerprint=look.fingerprint, token=look.token, entry=look.entry))
            if self.model.is_quiet():
                return
        raise AssertionError(f"not over: {self.model.unfinished()}")


class WhoSeesWhat(AgainstTheModel):
    """Grants, groups and rights come and go while work is asked for, waited on and given."""

    @rule(subject=anyone, thing=anyone)
    def may_read(self, subject, thing):
        self.set(GrantSet(subject=subject, object=thing))

    @rule(first=person, second=person, fingerprint=work)
    def one_waits_on_the_others(self, first, second, fingerprint):
        self.set(GrantSet(subject=second, object=first))
        for owner in (first, second):
            self.asks(owner, fingerprint, cores=1, refresh=False, by_inputs=False)

    @rule(subject=person, thing=person)
    def stops_seeing(self, subject, thing):
        self.set(GrantRemoved(subject=subject, object=thing))

    @rule(subject=anyone, thing=anyone)
    def may_read_no_more(self, subject, thing):
        self.set(GrantRemoved(subject=subject, object=thing))

    @rule(group=st.sampled_from(GROUPS), owner=person)
    def group_changes_hands(self, group, owner):
        self.set(GroupSet(group=group, name=group, owner=owner))

    @rule(user=person, is_admin=st.sampled_from([False, False, True]), is_active=st.sampled_from([True, True, False]))
    def user_changes(self, user, is_admin, is_active):
        self.set(UserSet(user=user, name=user, is_admin=is_admin, is_active=is_active))


class WhatIsRight(AgainstTheModel):
    """Everybody sees everybody; outputs differ, and operators judge."""

    def __init__(self) -> None:
        super().__init__()
        for subject in PEOPLE:
            for thing in PEOPLE:
                self.set(GrantSet(subject=subject, object=thing))

    @rule(
        number=number,
        fingerprint=work,
        kind=st.sampled_from(["quarantine", "release", "release", "wrong", "keep", "remove"]),
    )
    def is_judged(self, number, fingerprint, kind):
        run = self.newest(self.runs, number)
        token = run.token if run else "none"
        judgements = {
            "quarantine": c.Quarantined(fingerprint=fingerprint),
            "release": c.Released(fingerprint=fingerprint),
            "wrong": c.Invalidated(fingerprint=run.fingerprint if run else fingerprint, token=token),
            "keep": c.Invalidated(fingerprint=run.fingerprint if run else fingerprint, keep=token),
            "remove": c.Removed(fingerprint=run.fingerprint if run else fingerprint, token=token),
        }
        self.say(judgements[kind])

    @rule(owner=person, fingerprint=work, output=st.sampled_from(["one", "two"]))
    def is_done_anew(self, owner, fingerprint, output):
        self.asks(owner, fingerprint, cores=1, refresh=True, by_inputs=False)
        self.exits(0, output, code=0)

    @rule(number=number)
    def purity_is_taken_back(self, number):
        if task := self.newest(self.tasks, number):
            fingerprint, uuid = task
            self.say(c.PurityDropped(fingerprint=fingerprint, task=uuid, root=f"j{uuid}"))

    @rule(rate=st.sampled_from([0, 10_000]))
    def reuses_are_executed_again(self, rate):
        self.set(ConfigSet(name="verify_rate", value=rate))


def lives(kind, examples=40, phases=tuple(Phase)):
    """Run that many lives of this kind."""
    chosen = settings(
        max_examples=examples, stateful_step_count=40, deadline=None, derandomize=True, database=None, print_blob=False,
        suppress_health_check=list(HealthCheck), phases=phases, report_multiple_bugs=False,
    )  # fmt: skip
    run_state_machine_as_test(kind, settings=chosen)


@pytest.mark.parametrize("kind", [WhoSeesWhat, WhatIsRight])
def test_the_machine_does_what_the_model_allows(kind):
    lives(kind)


@pytest.mark.parametrize(
    ("kind", "simpler"),
    [
        (WhoSeesWhat, mutations.visibility_ignored),
        (WhoSeesWhat, mutations.visibility_of_yesterday),
        (WhoSeesWhat, mutations.nobody_waits),
        (WhoSeesWhat, mutations.lost_outputs_speak_to_all),
        (WhatIsRight, mutations.any_output_will_do),
        (WhatIsRight, mutations.lost_outputs_say_nothing),
        (WhatIsRight, mutations.entries_never_looked_at),
    ],
)
def test_a_simpler_rule_is_caught(kind, simpler):
    # It ends with the first life that shows it; which one that is changes with any constant in the code.
    with simpler(), pytest.raises(AssertionError):
        lives(kind, 2_000, (Phase.generate,))
