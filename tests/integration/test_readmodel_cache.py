"""Entries and their use, and what reuse saved, as each may know it."""

from readmodel.cache import Asked, entries, savings
from tests.support.office import spec


def test_entries_and_savings_of_those_who_see_each_other(model):
    office = model.office
    office.may_read("ben", "ada")
    office.submit("ada", "job-1", spec("one"))
    office.submit("ada", "job-2", spec("other", inputs="b"))
    office.submit("ada", "job-3", spec("mine alone", is_pure=False))
    office.run()
    for owner, root in (("ben", "job-4"), ("ada", "job-5")):
        office.submit(owner, root, spec("again"))
        office.run()
    found = model.ask(entries, "ada", Asked())
    assert [(one.name, one.owner, one.copies, one.took) for one in found] == [
        ("other", "ada", 0, 2_000),
        ("one", "ada", 1, 2_000),
    ]
    assert [one.copies for one in model.ask(entries, "root", Asked())] == [0, 2]
    assert model.ask(entries, "eve", Asked()) == []
    assert [one.name for one in model.ask(entries, "ben", Asked())] == ["other", "one"]
    assert model.ask(entries, "ben", Asked(of_owner="ben")) == []
    unused = Asked(used_before=found[1].used_at)
    assert [one.name for one in model.ask(entries, "ada", unused)] == ["other"]
    assert [one.name for one in model.ask(entries, "ada", Asked(made_before=2**45))] == ["other", "one"]
    [one] = model.ask(entries, "ben", Asked(task=model.task("ben", "job-4").task))
    assert one.token == found[1].token
    ada, ben = model.ask(savings, "ada"), model.ask(savings, "ben")
    assert (ada.given, ada.given_ms, ada.taken, ada.taken_ms) == (1, 2_000, 1, 2_000)
    assert (ben.given, ben.given_ms, ben.taken, ben.taken_ms) == (1, 2_000, 0, 0)
