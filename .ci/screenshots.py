"""Pictures of every kind of page of a site, at both widths, light and dark: to be looked at before a release.

python .ci/screenshots.py site/ pictures/
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

WIDTHS = (1200, 400)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def pages(site: Path) -> list[Path]:
    """One page of each kind: those at the top, and of each folder the largest."""
    found = sorted(site.glob("*.html"))
    for folder in ("suite", "benchmark", "bisect"):
        found += sorted((site / folder).glob("*.html"), key=lambda page: page.stat().st_size)[-1:]
    return found


def main(site: Path, out: Path, only: str = "") -> None:
    out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        for page in pages(site):
            if only not in page.name and only not in str(page.parent.name):
                continue
            for width in WIDTHS:
                for scheme in ("light", "dark"):
                    view = browser.new_page(
                        viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
                    )
                    view.on("console", lambda message, page=page: print(f"{page.name}: {message.text}"))
                    view.on("pageerror", lambda error, page=page: print(f"{page.name}: {error}"))
                    view.goto(page.resolve().as_uri())
                    view.wait_for_timeout(1500)
                    wide = view.evaluate("document.documentElement.scrollWidth")
                    if wide > width:
                        print(f"{page.name}: {wide} px of content in {width}")
                    kind = page.stem if page.parent == site else page.parent.name
                    view.screenshot(path=str(out / f"{kind}-{width}-{scheme}.png"), full_page=True)
                    view.close()
        browser.close()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]), *sys.argv[3:4])
