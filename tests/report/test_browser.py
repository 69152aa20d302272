"""The report in a real Chromium, at the size of a desktop and of a phone."""

from pathlib import Path

import pytest

from cockpit.report.html import html
from cockpit.session.paths import SessionFolder
from tests.chromium import DESKTOP, PHONE, needs_chromium, tab
from tests.worker.sessions import state_of

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300), needs_chromium]

WIDER = """[...document.querySelectorAll('body *')].filter(one => {
  for (let above = one; above && above !== document.body; above = above.parentElement)
    if (getComputedStyle(above).overflowX !== 'visible') return false;
  return one.getBoundingClientRect().right > innerWidth + 1;
}).map(one => one.tagName + '.' + one.className.baseVal)"""
"""Elements beyond the right edge that no box of their own scrolls."""


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
async def test_the_page_is_no_wider_than_its_window_and_asks_for_nothing(
    night_folder: SessionFolder, tmp_path: Path, size: tuple[int, int]
) -> None:
    state = state_of(night_folder)
    path = tmp_path / "night.html"
    path.write_text(html(state, state.now), encoding="utf-8")
    async with tab(tmp_path / "profile") as page:
        await page.open(f"file://{path}", size)
        await page.until("document.readyState === 'complete' && document.querySelector('svg') !== null")
        assert await page.value("document.title")
        assert await page.value("innerWidth") == size[0]
        assert await page.value("document.documentElement.scrollWidth") == size[0], await page.value(WIDER)
        assert await page.value("performance.getEntriesByType('resource').length") == 0
        assert page.errors == []
