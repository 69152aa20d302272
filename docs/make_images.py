"""Draw the pictures of docs/images/: a simulated night, its report at two widths, its card, its page that plays.

python docs/make_images.py        needs Chromium and the extra `card`; takes a minute
"""

import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

from PIL import Image

from cockpit.cli.demo import copy_of
from cockpit.cli.locate import state_of
from cockpit.cli.reporting import best_diff
from cockpit.create.new_session import SIM_EPOCH, create
from cockpit.create.plan import Plan
from cockpit.report.card import card
from cockpit.report.html import html
from cockpit.report.replay_page import replay_html
from cockpit.session.paths import SessionFolder
from cockpit.session.settings import EnvelopeSettings, NewSession, Settings
from cockpit.worker.build import build

IMAGES = Path(__file__).parent / "images"
ROOT = Path(__file__).parents[1]
COLOURS = 96
DESKTOP, PHONE, REPLAY = (1100, 1000), (390, 800), (1100, 900)


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        state = state_of(played(place))
        page, replay = place / "report.html", place / "replay.html"
        page.write_text(html(state, state.now, best_diff(state)), encoding="utf-8")
        replay.write_text(replay_html(state, state.now), encoding="utf-8")
        picture(f"file://{page}", "report", DESKTOP)
        framed = place / "phone.html"
        framed.write_text(
            f'<body style="margin:0"><iframe src="report.html" style="border:0" width="{PHONE[0]}" height="{PHONE[1]}">'
        )
        picture(f"file://{framed}", "report-phone", PHONE)
        picture(f"file://{replay}#4", "replay", REPLAY)
        (IMAGES / "card.png").write_bytes(card(state, state.now))


def played(place: Path) -> SessionFolder:
    """Play the demo's night, eight hours on sixteen clusters, as fast as it goes."""
    folder = SessionFolder(place / "sessions" / "night")
    new = NewSession(fleet="sim", clusters=16, mode="autopilot", proposer="grid", budget_hours=8.0)
    settings = Settings(session=new, envelope=EnvelopeSettings(usd=1e6))
    create(folder, Plan("night", copy_of(ROOT, place / "repo"), settings, speed=0.0), SIM_EPOCH)
    worker = build(folder, threading.Event(), threading.Event())
    worker.start()
    worker.close(worker.run(threading.Event()))
    return folder


def picture(address: str, name: str, size: tuple[int, int]) -> None:
    """Save the top of a page. A window is never narrower than 500 pixels, so a narrower picture is cut from it."""
    path = IMAGES / f"{name}.png"
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    window = f"--window-size={max(500, size[0])},{size[1] + 200}"
    command = [shutil.which("chromium") or "chromium", *flags, window, f"--screenshot={path}", address]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    with Image.open(path) as taken:
        cut = taken.convert("RGB").crop((0, 0, *size)).quantize(COLOURS)
    cut.save(path, optimize=True)


if __name__ == "__main__":
    main()
