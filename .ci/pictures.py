"""The pictures of the README and of docs/: the upper part of a page, light and dark, as small files.

python .ci/pictures.py site/benchmark/test_ravel.test_ravel.html site      docs/pictures/site-light.png, site-dark.png
python .ci/pictures.py bisection.html bisection 620                        620 px high

The pages are those of docs/tutorial.md: `crt report --out site/`, and `crt bisect ... --page bisection.html`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright
from screenshots import FLAGS, chromium

PICTURES = Path(__file__).resolve().parents[1] / "docs" / "pictures"
WIDTH = 1100


def main(page: Path, name: str, height: int = 700) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        for scheme in ("light", "dark"):
            size = {"width": WIDTH, "height": height}
            view = browser.new_page(viewport=size, color_scheme=scheme, reduced_motion="reduce")
            view.goto(page.resolve().as_uri(), timeout=300_000)
            view.wait_for_timeout(1500)
            view.screenshot(path=str(PICTURES / f"{name}-{scheme}.png"), timeout=300_000)
            view.close()
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:4]))
