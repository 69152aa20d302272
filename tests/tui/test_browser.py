"""The web watch in a real Chromium, at the size of a desktop and of a phone."""

from pathlib import Path

import pytest

from tests.chromium import DESKTOP, PHONE, needs_chromium, tab
from tests.tui.test_web import Site, site

__all__ = ["site"]

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300), needs_chromium]

SHOWN = "document.body?.classList.contains('-first-byte') && document.querySelector('.xterm-screen') !== null"
FONT = "Number(document.getElementById('terminal').dataset.fontSize)"


@pytest.mark.parametrize(("size", "font"), [(DESKTOP, 16), (PHONE, 10)])
async def test_a_page_has_a_title_and_is_as_wide_as_its_window(
    site: Site, tmp_path: Path, size: tuple[int, int], font: int
) -> None:
    async with tab(tmp_path) as page:
        await page.open(site.address, size)
        await page.until(SHOWN)
        assert await page.value("document.title") == "cockpit: watching night"
        assert await page.value("innerWidth") == size[0], "a phone lays the page out at its own width"
        assert await page.value("document.documentElement.scrollWidth") == size[0], "no part of it is clipped"
        assert await page.value(FONT) == font
        assert await page.value("document.querySelector('.xterm-screen').offsetWidth") >= 0.9 * size[0]
        assert page.errors == []
