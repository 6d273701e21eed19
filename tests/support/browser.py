"""A real Chromium: pages as people see them, what they say on the console, and whether axe finds them accessible."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.support.api import Person

PATIENCE = 60_000  # ms
TRIES = 5
DESKTOP = {"width": 1200, "height": 800}
PHONE = {"width": 390, "height": 844}


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser. While it is there, this thread has a running event loop, so that nobody else can start one in it."""
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


class Visitor:
    """Somebody with a browser window. `complaints`: errors and warnings that a page wrote to the console or threw."""

    def __init__(self, browser: Browser, address: str, **options: Any) -> None:
        context = browser.new_context(ignore_https_errors=True, **({"viewport": DESKTOP} | options))
        context.set_default_timeout(PATIENCE)
        self.page: Page = context.new_page()
        self.address = f"https://{address}"
        self.complaints: list[str] = []
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))

    def go(self, path: str) -> Page:
        """Open a page of the dashboard."""
        self.page.goto(self.address + path)
        return self.page

    def sign_in(self, person: Person) -> None:
        """By keyboard alone."""
        self.go("/")
        expect(self.page.get_by_label("Token")).to_be_focused()
        self.page.keyboard.type(person.token)
        self.page.keyboard.press("Enter")
        expect(self.page.get_by_role("heading", name="Jobs", exact=True)).to_be_visible(timeout=PATIENCE)

    def save(self, link: str) -> str:
        """What a link gives to save, as text. A browser gives up what it loads when a network of the machine goes."""
        for _ in range(TRIES):
            with self.page.expect_download() as saved:
                self.page.get_by_role("link", name=link).click()
            if saved.value.failure() != "canceled":
                return saved.value.path().read_text()
        raise AssertionError(f"{link!r} was given up {TRIES} times")

    def check(self) -> None:
        """Nothing on this page is what axe, by the rules of WCAG and its own best practices, calls a violation."""
        found = Axe().run(self.page)
        assert found.violations_count == 0, found.generate_report()

    def close(self) -> None:
        """Leave."""
        self.page.context.close()

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")
