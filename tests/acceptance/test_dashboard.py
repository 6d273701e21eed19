"""The dashboard in a real Chromium: a storm is watched until it settles, a conflict decided; and README's pictures."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from gateway.client import Client
from readmodel import queries
from readmodel.rows import Job
from tests.conftest import CHECKOUT
from tests.support.api import Person, Site, site
from tests.support.browser import PATIENCE, PHONE, Visitor, chromium
from tests.support.laboratory import HOSTILE, Laboratory

pytestmark = pytest.mark.needs("chromium")
PICTURES = CHECKOUT / "docs" / "screenshots"
TAKES = bool(os.environ.get("CRUNCH_REUSE_SCREENSHOTS"))
ENDED = ("complete", "failed", "cancelled")


@pytest.fixture(scope="module")
def system() -> Iterator[Site]:
    with site() as made:
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as made:
        yield made


@pytest.fixture
def lab() -> Iterator[Laboratory]:
    with (
        tempfile.TemporaryDirectory(prefix="crunch-reuse-lab-") as folder,
        closing(Laboratory(Path(folder) / "lab")) as lab,
    ):
        yield lab


@pytest.fixture
def visitor(browser: Browser, system: Site) -> Iterator[Visitor]:
    """An operator."""
    made = Visitor(browser, system.address)
    with closing(made):
        made.sign_in(system.person("ann", is_admin=True))
        yield made
        assert made.complaints == []


def submit(system: Site, file: Path) -> str:
    return system.crunch.submit(file, "--as", "ann")


def until_ended(system: Site, person: Person, root: str) -> Job:
    def look(client: Client) -> Job | None:
        found = queries.job(client.rows, person.uuid, root)
        return found if found and found.state in ENDED else None

    return system.crunch.until(look)


def row(page: Page, name: str) -> object:
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=name, exact=True))


def shows(page: Page, name: str, *words: str) -> None:
    """The row of the task of this name comes to say these words, without the page being loaded again."""
    for word in words:
        expect(row(page, name)).to_contain_text(word, timeout=PATIENCE)


def test_a_storm_is_watched_until_it_settles(system: Site, lab: Laboratory, visitor: Visitor, browser: Browser) -> None:
    ann = system.person("ann")
    first = submit(system, lab.job("trio panel", ["NA12878"]))
    page = visitor.go(f"/jobs/{first}")
    shows(page, "align NA12878", "running")
    second = submit(system, lab.job("trio panel, again", ["NA12878", HOSTILE]))
    page = visitor.go(f"/jobs/{second}")
    shows(page, "align NA12878", "waiting", "waits on align NA12878")
    shows(page, f"align {HOSTILE}".replace("\u202e", "\ufffd"), "running")
    page.evaluate("window.isTheSamePage = true")
    page.get_by_role("link", name="align NA12878", exact=True).first.focus()
    visitor.check()
    take(page, "tree-live")

    page = visitor.go("/claims")
    expect(page.get_by_role("row").filter(has_text="align NA12878").first).to_contain_text("running")
    visitor.check()
    take(page, "in-flight")
    page = visitor.go(f"/jobs/{second}")
    page.evaluate("window.isTheSamePage = true")
    lab.open()
    shows(page, "align NA12878", "copied", "copied from align NA12878", "saved")
    shows(page, f"align {HOSTILE}".replace("\u202e", "\ufffd"), "executed in")
    expect(page.get_by_role("button", name="Cancel job")).to_have_count(0, timeout=PATIENCE)
    assert page.evaluate("window.isTheSamePage") is True
    assert (until_ended(system, ann, first).state, until_ended(system, ann, second).state) == ("complete", "complete")
    in_other_clothes(system, browser, f"/jobs/{second}")


def test_names_and_logs_are_text(system: Site, visitor: Visitor) -> None:
    page = visitor.go("/jobs")
    page.get_by_role("link", name="trio panel, again").click()
    page.get_by_role("link", name=f"align {HOSTILE}".replace("\u202e", "\ufffd")).first.click()
    log = page.get_by_role("region", name="Log")
    expect(log).to_contain_text("red </pre><script>document.title = 'broken'</script>", timeout=PATIENCE)
    assert "\x1b" not in log.inner_text()
    expect(page.get_by_role("heading", level=1)).to_contain_text("<img src=x onerror=")
    assert "broken" not in page.title().replace(HOSTILE.replace("\u202e", "\ufffd"), "")
    assert page.locator("main script, main img").count() == 0
    visitor.check()


def test_a_task_says_why_shows_its_lineage_and_gives_its_files(visitor: Visitor) -> None:
    page = visitor.go("/jobs")
    page.get_by_role("link", name="trio panel, again").click()
    page.get_by_role("link", name="align NA12878", exact=True).first.click()
    expect(page.get_by_role("region", name="Why")).to_contain_text("waited on it and was then given the output of")
    picture = page.get_by_role("group", name="From inputs")
    expect(picture.get_by_role("link")).to_have_count(2)
    assert visitor.save("aligned.txt") == "NA12878\n"
    visitor.check()
    take(page, "task")
    assert "\x1b[31m" in visitor.save("Download the log")


def test_a_conflict_is_decided(system: Site, lab: Laboratory, visitor: Visitor, browser: Browser) -> None:
    ann = system.person("ann")
    for text, refresh in (("chr1 1 A\n", False), ("chr1 1 A\nchr1 2 C\n", True)):
        assert (
            until_ended(system, ann, submit(system, lab.fickle("call variants", text, refresh=refresh))).state
            == "complete"
        )
    page = visitor.go("/conflicts")
    pair = page.get_by_role("article")
    expect(pair).to_contain_text("open", timeout=PATIENCE)
    expect(pair.get_by_role("row").filter(has_text="calls.vcf")).to_contain_text("differs")
    expect(pair.get_by_role("row").filter(has_text="header.txt")).to_contain_text("the same")
    expect(pair.locator("dt", has_text="Environment")).to_have_count(2)
    visitor.check()
    take(page, "conflict")
    in_other_clothes(system, browser, "/conflicts")
    pair.get_by_role("button", name="Both will do: release").press("Enter")
    expect(page.get_by_role("article")).to_contain_text("settled", timeout=PATIENCE)
    expect(page.get_by_role("heading", name="What it is made of")).to_be_visible()
    visitor.check()


@pytest.mark.parametrize("path", ["/jobs", "/hot", "/savings", "/minutes", "/nodes", "/partitions"])
def test_pages_of_the_system_are_accessible_in_every_clothing(
    system: Site, visitor: Visitor, browser: Browser, path: str
) -> None:
    page = visitor.go(path)
    expect(page.get_by_role("status")).to_contain_text("Current as of", timeout=PATIENCE)
    visitor.check()
    in_other_clothes(system, browser, path)
    if path in ("/savings", "/jobs"):
        take(page, path.strip("/"))


def test_all_of_it_works_by_keyboard(visitor: Visitor) -> None:
    page = visitor.go("/savings")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="24 hours")).to_be_focused()
    page.get_by_role("button", name="Sign out").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    visitor.check()


def in_other_clothes(system: Site, browser: Browser, path: str) -> None:
    """The page in the dark, and on a phone, where nothing is wider than the screen."""
    for options in ({"color_scheme": "dark"}, {"viewport": PHONE, "has_touch": True, "is_mobile": True}):
        with closing(Visitor(browser, system.address, **options)) as other:
            other.sign_in(system.person("ann"))
            page = other.go(path)
            expect(page.get_by_role("status")).to_contain_text("Current as of", timeout=PATIENCE)
            other.check()
            assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
            assert other.complaints == []
            if "color_scheme" in options and path.startswith("/jobs/"):
                take(page, "tree-dark")


def take(page: Page, name: str) -> None:
    """A picture for the README: anew where CRUNCH_REUSE_SCREENSHOTS is set, so that tests alone change no file."""
    kept = PICTURES / f"{name}.png"
    shot = page.screenshot(clip={"x": 0, "y": 0, "width": 1200, "height": 720})
    assert kept.exists() or TAKES
    if TAKES:
        PICTURES.mkdir(exist_ok=True)
        kept.write_bytes(shot)
