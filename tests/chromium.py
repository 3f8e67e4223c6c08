"""The browser of the tests, if this machine has one."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, BrowserContext, sync_playwright

# The shell is the same browser without its own windows, and takes a third less of the processor.
NAMES = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
)


def find_chromium() -> str | None:
    """Return the path of Chromium: the one that CHROMIUM names, else the first that is installed."""
    named = os.environ.get("CHROMIUM")
    return named or next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Yield a running Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(), args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


def window(browser: Browser, width: int, height: int, **options: Any) -> BrowserContext:
    """Open a window for somebody who wants no motion: drawing turning signs keeps a whole core busy."""
    size: Any = {"width": width, "height": height}
    return browser.new_context(viewport=size, reduced_motion="reduce", **options)
