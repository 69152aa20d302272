"""Sessions to draw, as the events that made them: a night on sixteen clusters, and other states.

A story is written to a real ledger in a folder of its own, with its logs, and is the same every time.
"""

from msgspec import structs

from cockpit.core.agent_events import AgentHosted, ApiUsed
from cockpit.core.cluster_events import ClusterFailed, ClusterUp, ClusterWaiting, Launching, LaunchStep
from cockpit.core.events import (
    Approved,
    Asked,
    Decided,
    FindingRecorded,
    Held,
    IncumbentSet,
    PhaseSet,
    Queued,
    Said,
    SessionEnded,
    SessionEnding,
    Started,
    Trouble,
    WorkerStopped,
)
from cockpit.core.model import (
    DECISIONS,
    Attempt,
    AttemptKind,
    ClusterState,
    Edit,
    EndMode,
    ExperimentStatus,
    Outcome,
    Value,
    WaveKind,
)
from tests.tui.story import RUN_S, Story, session


def begun(name: str = "night", clusters: int = 16, better: int = 3) -> Story:
    """Return a session whose baseline has been measured."""
    story = Story(session(name, clusters, better))
    wave = story.propose("What does the unchanged train.py score?", {}, "baseline", kind=WaveKind.BASELINE)
    story.tell(
        Approved(
            at=story.at,
            wave=wave,
            author=DECISIONS,
            rule="baseline",
            attempts=[Attempt(f"e0000.{n}", "e0000", AttemptKind.ARM, seed=n, rule="baseline") for n in range(1, 17)],
        )
    )
    story.launch()
    story.play()
    story.tell(Decided(at=story.at, experiment="e0000", status=ExperimentStatus.KEPT, reason="the baseline"))
    story.tell(IncumbentSet(at=story.at, experiment="e0000", reason="the baseline"))
    return story


def night() -> Story:
    """Return the middle of a night in copilot: waves done, one running, one held, two proposals, a lost cluster."""
    story = begun()
    story.tell(PhaseSet(at=story.at, author="claude", phase="Width first: it moved the most in the literature"))
    pairs: list[list[Value]] = [[48, 80], [96, 112], [88, 128]]
    for widths in pairs:
        width = story.propose(
            "How wide should the model be at this budget?",
            {"ASPECT_RATIO": widths, "MATRIX_LR": [0.03, 0.04, 0.05, 0.06]},
            hypothesis="Wider than 64 wins until steps run out, near 96.",
            would_change_mind="If 48 beats 96 at any learning rate, steps matter more than width.",
        )
        story.approve(width)
        story.play()
    story.tell(
        FindingRecorded(
            at=story.at,
            author="claude",
            claim="Width is worth five times any learning rate here; the optimum lies near 96.",
            experiments=["e0016", "e0017"],
        )
    )
    decay = story.propose(
        "Does weight decay interact with width?",
        {"WEIGHT_DECAY": [0.05, 0.1, 0.2], "ASPECT_RATIO": [88, 96]},
        proposer="tpe",
        hypothesis="Less decay suits the wider model.",
    )
    story.approve(decay)
    story.play()
    story.tell(Said(at=story.at, author="ada", text="Try the warmdown next, but keep waves small please."))
    story.tell(
        Said(at=story.at + 12, author="claude", text="Will do: eight arms at most, and the two widths that are left.")
    )
    down = story.propose(
        "How long a warmdown suits 96?",
        {"WARMDOWN_RATIO": [0.3, 0.6, 0.7], "FINAL_LR_FRAC": [0.02, 0.05, 0.1], "MATRIX_LR": [0.035, 0.045, 0.055]},
        hypothesis="A longer warmdown is worth about 0.002.",
    )
    story.approve(down)
    rates = story.propose(
        "Embedding rate at the new width", {"EMBEDDING_LR": [0.4, 0.6, 0.8, 1.0]}, "tpe", "Higher, as width grew."
    )
    story.approve(rates)
    story.tell(Held(at=story.at, author="ada", target=rates))
    story.play(until_waiting=9, most_s=500)
    story.tell(ClusterFailed(at=story.at, cluster="gpu-07", message="ssh: connect to 10.0.3.17: timed out"))
    lost = next((a for a in story.state.in_flight if story.state.attempts[a].cluster == "gpu-07"), "")
    if lost:
        story.end(lost, Outcome.LOST, "gpu-07 stopped answering")
    for attempt, cluster in zip(list(story.state.waiting), ["gpu-01", "gpu-02", "gpu-12"], strict=False):
        story.submit(attempt, cluster)
    story.at += 60
    story.propose(
        "Is momentum still right with a longer warmdown?",
        {"MUON_MOMENTUM": [0.92, 0.95, 0.97], "WARMDOWN_RATIO": [0.5, 0.7]},
        hypothesis="0.97 helps once the tail is long.",
        would_change_mind="No difference beyond the noise at either warmdown.",
    )
    story.propose(
        "Replace the soft-cap by a learned scale?",
        {},
        hypothesis="The cap costs a little and buys nothing at this depth.",
        edits=(Edit("logits = 15 * torch.tanh(logits / 15)", "logits = self.scale * logits"),),
    )
    story.tell(Asked(at=story.at, ask=3, proposer="claude", arms=8, reason="dry"))
    story.tell(ApiUsed(at=story.at, proposer="claude", model="claude", usd=3.18, input_tokens=410_000))
    story.show_running()
    return story


def late() -> Story:
    """Return that night two hours later, without another keep."""
    story = night()
    story.at += 2 * 3600
    story.tell(Said(at=story.at, author="claude", text="Nothing of the last two hours was beyond the noise."))
    story.show_running()
    return story


def held() -> Story:
    """Return that night with the session and one cluster held."""
    story = night()
    story.tell(Held(at=story.at, author="ada"))
    story.tell(Held(at=story.at, author="ada", target="gpu-01"))
    return story


def ending() -> Story:
    """Return that night while its last runs finish."""
    story = night()
    story.tell(SessionEnding(at=story.at, author="ada", how=EndMode.DRAIN, reason="ada ends it"))
    return story


def ended() -> Story:
    """Return that night after its end: its runs are cancelled, its worker has stopped."""
    story = ending()
    for attempt in list(story.state.in_flight):
        story.end(attempt, Outcome.CANCELLED)
    story.tell(SessionEnded(at=story.at, reason="ada ends it"))
    story.tell(WorkerStopped(at=story.at, reason="the session has ended"))
    return story


def stale_base() -> Story:
    """Return the night after another experiment was kept: the bases of both proposals are replaced."""
    story = night()
    replace_the_incumbent(story)
    return story


def replace_the_incumbent(story: Story) -> str:
    """Keep another measured experiment while the proposals wait, and return it."""
    story.at += 1
    name = [one.id for one in story.state.experiments.values() if one.scores and one.id != story.state.incumbent][-1]
    story.tell(Decided(at=story.at, experiment=name, status=ExperimentStatus.KEPT, reason="better"))
    story.tell(IncumbentSet(at=story.at, experiment=name, reason="better"))
    return name


def filled(waves: int = 40) -> Story:
    """Return a night with filler: many waves of one arm each between two of a researcher's. The last is being
    replicated."""
    story = begun("filled")
    first = story.propose("Which rate?", {"MATRIX_LR": [0.03, 0.05]})
    story.approve(first)
    story.play()
    for number in range(waves):
        level = round(0.02 + 0.002 * number, 4)
        story.approve(story.propose("", {"MATRIX_LR": [level]}, "search", kind=WaveKind.FILLER), DECISIONS)
    story.play(until_waiting=6)
    again = story.propose("Is it the width?", {"ASPECT_RATIO": [96]})
    story.approve(again)
    arm = story.state.waves[again].arms[0]
    cluster = next(c.name for c in story.state.clusters.values() if c.state is ClusterState.IDLE)
    story.submit(f"{arm}.1", cluster)
    story.tell(Started(at=story.at, attempt=f"{arm}.1"))
    story.at += RUN_S
    story.end(f"{arm}.1")
    rerun = Attempt(f"{arm}.2", arm, AttemptKind.REPLICATE, seed=5, rule="plan")
    story.tell(Queued(at=story.at, attempt=rerun, reason="a replicate"))
    return story


def meanwhile() -> Story:
    """Return that night with a proposal that waits while the filler runs."""
    story = filled()
    story.propose("Does the width want a smaller rate?", {"ASPECT_RATIO": [80, 96], "MATRIX_LR": [0.03]})
    return story


def pair() -> Story:
    """Return two clusters, for long enough that one GPU would have found an improvement too."""
    story = begun("pair", clusters=2, better=0)
    for number in range(8):
        rates: list[Value] = [0.03 + 0.002 * number, 0.06 - 0.001 * number]
        story.approve(story.propose("Which rate?", {"MATRIX_LR": rates, "ASPECT_RATIO": [64, 96]}))
        story.play()
    return story


def laptop() -> Story:
    """Return two clusters, as on a laptop: one validates, the other runs a wave's first arm."""
    story = begun("laptop", clusters=2, better=0)
    grid: dict[str, list[Value]] = {"ASPECT_RATIO": [48, 96], "MATRIX_LR": [0.03, 0.05]}
    story.approve(story.propose("How wide should the model be?", grid, "search", "Wider wins until steps run out."))
    story.play()
    rates: dict[str, list[Value]] = {"MATRIX_LR": [0.03, 0.04, 0.06, 0.07]}
    story.approve(story.propose("Which learning rate suits the new width?", rates, "search", "Higher, as width grew."))
    for attempt, cluster in zip(list(story.state.waiting), list(story.state.clusters), strict=False):
        story.submit(attempt, cluster)
        story.tell(Started(at=story.at + 1, attempt=attempt))
    story.at += 180
    for number, attempt in enumerate(list(story.state.in_flight)):
        story.progress(attempt, 0.55 + 0.2 * number)
    return story


def evaluating() -> Story:
    """Return the two clusters once the selected one's run has trained, and its score is computed."""
    story = laptop()
    story.progress(next(one.running for one in story.state.clusters.values() if one.running), 1.0)
    return story


def starting() -> Story:
    """Return two clusters, of which the first has a run that is submitted and has not begun."""
    story = Story(session("starting", 2, 0))
    wave = story.propose("What does the unchanged train.py score?", {}, "baseline", kind=WaveKind.BASELINE)
    run = Attempt("e0000.1", "e0000", AttemptKind.ARM, seed=1, rule="baseline")
    story.tell(Approved(at=story.at, wave=wave, author=DECISIONS, rule="baseline", attempts=[run]))
    story.launch()
    story.submit("e0000.1", next(iter(story.state.clusters)))
    story.at += 20
    return story


def empty() -> Story:
    """Return a new session: no cluster is up, nothing has run."""
    return Story(session("fresh"))


def stale() -> Story:
    """Return a night whose worker died an hour ago."""
    return night()


HOSTILE = (
    "\x1b[2J\x1b[31mred\x1b]0;owned\x07",
    "[bold red]markup[/] [@click=app.quit]x[/]",
    "‮evil‬ עברית عربى",
    "你好 wide ｗｉｄｅ 🚀 a\u0301 z\u200bw",
    "tab\there\r\nand\x00nul\x9bcsi\x7f",
)


def hostile() -> Story:
    """Names, words and logs that try to reach the terminal."""
    story = begun("hostile", clusters=4, better=1)
    for text in HOSTILE:
        story.tell(Said(at=story.at, author=text, text=text))
        story.tell(Trouble(at=story.at, text=text, about=text))
    wave = story.propose(HOSTILE[0], {"WINDOW_PATTERN": list(HOSTILE[:2])}, HOSTILE[2], HOSTILE[1])
    story.approve(wave)
    for attempt, cluster in zip(list(story.state.waiting), ["gpu-01", "gpu-02"], strict=False):
        story.submit(attempt, cluster)
        story.tell(Started(at=story.at, attempt=attempt))
    story.tell(ClusterFailed(at=story.at, cluster="gpu-03", message=HOSTILE[3]))
    story.propose(HOSTILE[1], {"WINDOW_PATTERN": [HOSTILE[3]]}, HOSTILE[0], HOSTILE[2])
    story.show_running()
    return story


def interaction() -> Story:
    """Return a wave of two factors whose every arm has run three times, and a wave of which two arms have run."""
    story = begun("interaction")
    grid: dict[str, list[Value]] = {"ASPECT_RATIO": [64, 80, 112], "MATRIX_LR": [0.03, 0.04, 0.06]}
    wave = story.propose("Does the best learning rate depend on the width?", grid, "grid")
    story.approve(wave)
    story.play()
    for number, arm in enumerate(story.state.waves[wave].arms):
        for again in (2, 3):
            run = Attempt(f"{arm}.{again}", arm, AttemptKind.REPLICATE, seed=90 + 2 * number + again, rule="plan")
            story.tell(Queued(at=story.at, attempt=run, reason="a replicate"))
    story.play()
    rates: dict[str, list[Value]] = {"EMBEDDING_LR": [0.4, 0.8], "WEIGHT_DECAY": [0.05, 0.3]}
    story.approve(story.propose("Does the best learning rate depend on the decay?", rates, "grid"))
    story.play(until_waiting=2, most_s=60)
    return story


def many(clusters: int = 256) -> Story:
    """Return a fleet of hundreds, all of them busy but for one that idles and one that is lost."""
    story = begun("many", clusters=clusters, better=0)
    rates: list[Value] = [round(0.02 + 0.0002 * number, 4) for number in range(clusters - 1)]
    story.approve(story.propose("Which learning rate?", {"MATRIX_LR": rates}))
    for attempt, cluster in zip(list(story.state.waiting), list(story.state.clusters), strict=False):
        story.submit(attempt, cluster)
        story.tell(Started(at=story.at, attempt=attempt))
    story.at += 200
    for number, attempt in enumerate(list(story.state.in_flight)):
        story.progress(attempt, (number * 37 % 100) / 100)
    story.tell(ClusterFailed(at=story.at, cluster="gpu-77", message="ssh: connect to 10.0.3.17: timed out"))
    return story


def launching() -> Story:
    """Return a session on a cloud whose clusters come up: each at another step, and two proposers that are asked."""
    base = session("coming", clusters=8, better=2)
    fleet = structs.replace(base.fleet, kind="sky", simulated=False, infra="gcp")
    story = Story(structs.replace(base, fleet=fleet))
    wave = story.propose("What does the unchanged train.py score?", {}, "baseline", kind=WaveKind.BASELINE)
    story.tell(Approved(at=story.at, wave=wave, author=DECISIONS, rule="baseline", attempts=[]))
    names = list(story.state.clusters)
    for name in names:
        story.tell(Launching(at=story.at, cluster=name))
    story.at += 150
    story.tell(ClusterUp(at=story.at, cluster=names[0], hardware="H100", usd_per_hour=2.0))
    story.at += 60
    steps = {
        names[1]: "set-up: Downloading torch-2.13.0-cp312-cp312-manylinux_2_28_x86_64.whl (865.4 MB)",
        names[2]: "its machine is up; the set-up begins",
        names[3]: "the cloud provisions its machine",
        names[4]: "the files of the session are copied",
    }
    for name, said in steps.items():
        story.tell(LaunchStep(at=story.at, cluster=name, message=said))
    story.tell(ClusterWaiting(at=story.at, cluster=names[5], message="it waits in the queue of us-central1 for H100"))
    story.tell(
        ClusterFailed(
            at=story.at, cluster=names[6], refused=True, retry_at=story.at + 240,
            message="no capacity for H200 in us-central1, europe-west4; asked again in 4m",
        )
    )  # fmt: skip
    story.tell(AgentHosted(at=story.at, agent="gemini", command=["gemini", "--acp"], author="ada", share=0.4))
    story.tell(Said(at=story.at, author="ada", text="Widths for one of you, learning rates for the other."))
    story.tell(Said(at=story.at, author="gemini", text="I take the **learning rates**."))
    story.tell(Asked(at=story.at, ask=1, proposer="claude", arms=5))
    story.tell(Asked(at=story.at, ask=2, proposer="gemini", arms=3))
    story.at += 20
    return story
