"""The report is one page that says what is known, how well, and what it cost; and obeys nothing it quotes."""

import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from cockpit.core.agent_events import ApiUsed
from cockpit.core.cluster_events import ClusterUp, Launching
from cockpit.core.events import (
    Approved,
    Decided,
    Ended,
    Event,
    FindingRecorded,
    IncumbentSet,
    PhaseSet,
    Proposed,
    Queued,
    SessionCreated,
    Started,
    Submitted,
    Submitting,
)
from cockpit.core.fold import fold, fold_all
from cockpit.core.metric import Metric
from cockpit.core.model import (
    Attempt,
    AttemptKind,
    Change,
    Envelope,
    Estimate,
    Experiment,
    ExperimentStatus,
    Metrics,
    Mode,
    Outcome,
    Wave,
    WaveKind,
)
from cockpit.core.session import Session
from cockpit.core.state import State
from cockpit.core.totals import EarlyStops
from cockpit.decide.evidence import noise_of
from cockpit.fleet.sim.fleet import sim_spec
from cockpit.read.counterfactual import one_gpu
from cockpit.report.html import html
from cockpit.report.page import environment
from cockpit.report.results import results_tsv
from tests.worker.sessions import sim_session, state_of

HOSTILE = '<script>alert(1)</script>\x1b[2J\u202eevil & "quoted"'
BEGAN = 1_772_000_000.0


def night(simulated: bool = True, text: str = "is wider better?") -> State:
    """Return two clusters, a baseline run twice, a wave of two widths; the wider one is kept."""
    fleet = sim_spec(2, 0)
    session = Session(
        "night", "/repo", "c" * 40, msgspec.structs.replace(fleet, simulated=simulated),
        BEGAN, "ann", corpus="stdlib 1234abcd", preset="cuda",
    )  # fmt: skip
    events: list[Event] = [SessionCreated(at=BEGAN, session=session, mode=Mode.MANUAL, envelope=Envelope())]
    events += wave("w000", ["e0000"], WaveKind.BASELINE, {}, text)
    for name in ("gpu-01", "gpu-02"):
        events += [Launching(at=BEGAN, cluster=name), ClusterUp(at=BEGAN + 10, cluster=name, hardware="H100")]
    events += run("e0000", 1, "gpu-01", 10, 310, 1.0000) + run("e0000", 2, "gpu-02", 10, 310, 1.0004)
    events += [incumbent_set("e0000", 320, None)]
    events += wave("w001", ["e0001", "e0002"], WaveKind.WAVE, {"ASPECT_RATIO": [80, 96]}, text)
    events += run("e0001", 1, "gpu-01", 330, 630, 0.9950) + run("e0002", 1, "gpu-02", 330, 630, 0.9900)
    events += run("e0002", 2, "gpu-01", 640, 940, 0.9902)
    events += [Decided(at=BEGAN + 950, experiment="e0002", status=ExperimentStatus.KEPT, reason="it is better")]
    events += [incumbent_set("e0002", 950, Estimate(-0.0101, -0.0109, -0.0093, 0.9, 2, "e0000", "H100"))]
    events += [PhaseSet(at=BEGAN + 960, author="claude", phase=text)]
    events += [FindingRecorded(at=BEGAN + 961, author="claude", claim=text, experiments=["e0002"])]
    used = ApiUsed(at=BEGAN + 962, proposer="claude", model="m", usd=1.25, input_tokens=4000, output_tokens=500)
    events += [msgspec.structs.replace(used, cache_read_tokens=9000, cache_write_tokens=700)]
    return fold_all(sorted(events, key=lambda event: event.at))


def wave(name: str, arms: list[str], kind: WaveKind, factors: dict[str, list[int]], text: str) -> list[Event]:
    at = BEGAN if kind is WaveKind.BASELINE else BEGAN + 325
    made = [
        Experiment(
            arm, name, "" if arm == "e0000" else "e0000",
            Change({factor: levels[i] for factor, levels in factors.items()}), arm[1:] * 10, "t", "p", arm, why=text,
            levels={factor: levels[i] for factor, levels in factors.items()}, lines_added=1, lines_removed=1,
        )
        for i, arm in enumerate(arms)
    ]  # fmt: skip
    proposed = Wave(
        name,
        "claude",
        text,
        kind,
        hypothesis=text,
        factors={key: list(values) for key, values in factors.items()},
        arms=arms,
        proposed_at=at,
    )
    return [
        Proposed(at=at, wave=proposed, experiments=made),
        Approved(at=at, wave=name, author="ann", rule="person:ann", attempts=[]),
    ]


def run(experiment: str, number: int, cluster: str, start: float, end: float, val_bpb: float) -> list[Event]:
    name, at = f"{experiment}.{number}", BEGAN + start
    attempt = Attempt(name, experiment, AttemptKind.ARM, number)
    return [
        Queued(at=at, attempt=attempt),
        Submitting(at=at, attempt=name, cluster=cluster, hardware="H100"),
        Submitted(at=at, attempt=name),
        Started(at=at, attempt=name),
        Ended(at=BEGAN + end, attempt=name, outcome=Outcome.VALID, metrics=Metrics(val_bpb, peak_vram_mb=2048)),
    ]


def incumbent_set(experiment: str, at: float, estimate: Estimate | None) -> Event:
    return IncumbentSet(at=BEGAN + at, experiment=experiment, reason="it is better", estimate=estimate)


class Page(HTMLParser):
    """Every tag that is opened, and what would be loaded."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.names: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.names += [value or "" for name, value in attributes if name == "id"]
        self.loads += [value or "" for name, value in attributes if name in ("src", "href", "xlink:href", "action")]


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page.replace("<wbr>", "")).split())


def test_the_best_is_shown_with_its_estimate_and_interval() -> None:
    text = text_of(html(night(), BEGAN + 1000))
    assert "val_bpb on H100 0.990100 mean of 2 runs" in text
    assert "baseline on H100 1.000200" in text
    assert "gain against e0000 −0.0101 90% interval −0.0109 to −0.0093, 2 runs, H100" in text


def test_a_best_without_an_interval_is_not_called_a_gain() -> None:
    state = night()
    state.incumbencies[:] = state.incumbencies[:1]
    assert "no interval was estimated: the score is the best of many" in text_of(html(state, BEGAN + 1000))


def test_every_kept_change_has_its_evidence() -> None:
    text = text_of(html(night(), BEGAN + 1000))
    assert re.search(r"e0002 ASPECT_RATIO 96 −0.0101 −0.0109 to −0.0093 2 H100 – \$0.83 it is better", text)


def test_a_wave_is_shown_with_who_approved_it_and_what_its_factors_did() -> None:
    text = text_of(html(night(), BEGAN + 1000))
    assert "claude proposed it" in text and "under person:ann" in text
    row = re.search(r"ASPECT_RATIO 80 → 96 (−0\.00\d\d) (−0\.0\d+) to (−0\.0\d+) 2", text)
    assert row is not None
    mean, low, high = (float(number.replace("−", "-")) for number in row.groups())
    assert low < mean < high < 0 and mean == pytest.approx(-0.0049, abs=2e-4)


def test_findings_and_phases_are_shown_with_who_found_them() -> None:
    state = night()
    fold(state, PhaseSet(at=BEGAN + 970, author="claude", phase="the schedule"))
    fold(state, FindingRecorded(at=BEGAN + 971, author="codex", claim="Longer warmdown helps", experiments=["e0002"]))
    text = text_of(html(state, BEGAN + 1000))
    assert text.index("the schedule") < text.index("Longer warmdown helps")
    assert re.search(r"codex.{0,40}Longer warmdown helps|Longer warmdown helps.{0,40}codex", text)


def test_noise_is_this_sessions_own_or_said_to_be_assumed() -> None:
    repeated = night()
    repeated.controls["H100"] = [f"e0000.{1 + i % 2}" for i in range(2)]
    assert "The assumed SD is" in text_of(html(repeated, BEGAN + 1000))
    events = [
        event
        for i in range(3, 9)
        for event in run("e0000", i, f"gpu-0{1 + i % 2}", i * 1000, i * 1000 + 300, 1 + i / 1e4)
    ]
    text = text_of(html(fold_all(events, repeated), BEGAN + 10_000))
    assert re.search(r"SD of repeats on one cluster 0\.000\d\d SD between", text)
    assert re.search(
        r"drift of the same code, an hour \+0\.00\d+ ± 0\.00\d+: (within its error, not )?corrected for", text
    )


def test_noisier_clusters_are_named_with_their_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    state = night()
    unequal = msgspec.structs.replace(
        noise_of(state), measured=True, within_sd=0.001, ratios={"gpu-01": 9.0, "gpu-02": 0.5}
    )
    monkeypatch.setattr("cockpit.report.contents.noise_of", lambda state: unequal)
    text = text_of(html(state, BEGAN + 1000))
    assert "SD of repeats on one cluster 0.00100 noisier: gpu-01 0.00300 SD between" in text


def test_time_and_dollars_are_counted_apart() -> None:
    text = text_of(html(night(), BEGAN + 1000))
    assert re.search(r"training 0.42 h \d+\.\d% of the time clusters were up", text)
    assert "API dollars $1.25 4,000 tokens in, 9,000 from the cache, 700 into it, 500 out" in text and "no cap" in text


def test_the_savings_and_mistakes_of_early_stopping_are_shown() -> None:
    assert "early stopping" not in text_of(html(night(), BEGAN + 1000))
    state = night()
    state.early_stops = EarlyStops(ended=12, saved_s=5400, checked=2, mistaken=1)
    said = "early stopping 12 hopeless runs ended early, 1.5 hours saved; of 2 let run on to check it 1 would have been"
    assert said in text_of(html(state, BEGAN + 1000))


def test_a_fraction_of_a_grid_is_named_as_one() -> None:
    state = night()
    state.waves["w001"].design = "a fraction of the grid: 4 of 8 combinations, resolution III"
    assert "It is a fraction of the grid: 4 of 8 combinations" in text_of(html(state, BEGAN + 1000))


def test_one_gpu_runs_the_same_one_after_another() -> None:
    alone = one_gpu(night())
    assert alone is not None and alone.runs == 5
    gap_s = sorted(night().gap_s)[1]
    assert alone.hours == pytest.approx(5 * (300 + gap_s) / 3600)
    assert [best.experiment for best in alone.best] == ["e0000", "e0002"]
    assert alone.best[0].hours == pytest.approx(2 * (300 + gap_s) / 3600), "both baselines come first"
    assert alone.within_fleet_hours is not None and alone.within_fleet_hours.experiment == "e0000"


def test_a_simulated_session_says_so_on_the_page_and_in_every_line_of_results() -> None:
    assert "SIMULATED: no GPU ran any of this" in text_of(html(night(), BEGAN + 1000))
    assert all("SIMULATED" in line for line in list(results_tsv(night()))[1:])
    real = night(simulated=False)
    assert "SIMULATED" not in html(real, BEGAN + 1000)
    assert not any("SIMULATED" in line for line in results_tsv(real))


def test_text_of_runs_models_and_people_is_never_markup_nor_control() -> None:
    page = html(night(text=HOSTILE), BEGAN + 1000)
    assert set(Page(page).tags) == set(Page(html(night(), BEGAN + 1000)).tags)
    assert "script" not in Page(page).tags and "&lt;script&gt;" in page
    assert "\x1b" not in page and "\u202e" not in page


def test_the_page_loads_nothing_from_anywhere() -> None:
    page = html(night(), BEGAN + 1000)
    assert all(link.startswith("#") for link in Page(page).loads)
    assert "default-src 'none'" in page


def test_every_link_of_the_page_has_its_target() -> None:
    page = Page(html(night(), BEGAN + 1000))
    assert set(page.loads) <= {f"#{name}" for name in page.names}
    assert {"#e0002", "#story", "#stack"} <= set(page.loads)


def test_the_chart_has_a_dot_for_each_experiment_and_marks_what_was_kept() -> None:
    state = night()
    state.experiments["e0002"].status = ExperimentStatus.KEPT
    page = html(state, BEGAN + 1000)
    chart = page[page.index('<svg class="wide"') : page.index('<svg class="narrow"')]
    assert len(re.findall(r"<circle ", chart)) == 3
    assert len(re.findall(r'<circle [^>]*stroke="#000"', chart)) == 1
    assert "<title>e0002 H100 0.9901</title>" in page


def test_an_empty_session_has_a_report_too(tmp_path: Path) -> None:
    state = state_of(sim_session(tmp_path, speed=1.0))
    text = text_of(html(state, state.now))
    assert "Nothing has been kept yet" in text and "Nothing has been measured yet" in text


def test_each_score_says_how_it_came_to_be() -> None:
    text = text_of(html(night(simulated=False), BEGAN + 1000))
    assert re.search(r"e0002 ASPECT_RATIO 96 −0.0101 −0.0109 to −0.0093 2 H100 self-scored, unconfined \$0.83", text)
    assert "the unchanged code, self-scored, unconfined" in text
    assert "best: e0002 with 0.9901 on H100 (self-scored, unconfined)" in text


def test_a_long_name_may_break_behind_an_underscore_and_stays_escaped() -> None:
    page = html(night(), BEGAN + 1000)
    assert "ASPECT_<wbr>RATIO" in page
    shown = environment(Metric()).filters["breakable"]
    assert shown("A_<b>_B") == "A_<wbr>&lt;b&gt;_<wbr>B"


def test_a_session_that_costs_nothing_shows_no_dollars_and_counts_its_own_device() -> None:
    state = night(simulated=False)
    for cluster in state.clusters.values():
        cluster.usd_per_hour, cluster.hardware = 0.0, "CPU"
    state.spend = type(state.spend)()
    text = text_of(html(state, BEGAN + 1000))
    assert re.search(r"measured variants?, in \d+", text) and "CPU-hours" in text and "GPU-hours" not in text


def test_the_line_of_a_folded_wave_tells_its_factors_its_size_and_its_best_arm() -> None:
    state = night()
    assert re.search(
        r"w001: .+? ASPECT_RATIO; \d+ arms, best e0002 −0.0101, 1 kept", text_of(html(state, BEGAN + 1000))
    )
    state.waves["w001"].question = "ASPECT_RATIO 64 96: which?"
    assert re.search(r"w001: ASPECT_RATIO 64 96: which\? \d+ arms, best e0002", text_of(html(state, BEGAN + 1000)))
