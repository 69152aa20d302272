"""Compare the efforts of the researcher by the kept gains that each must bring to pay for itself.

    python -m benchmarks.effort

The night is the published one: 8 hours, 13 H100 and 3 H200, five minutes a run. The researcher's dollars are those of
its estimate, which tests/agent/test_estimate.py compares with a scripted night; the thinking by effort is assumed. The
keeps are those of Cockpit's simulated nights (`python -m benchmarks.search`). No stand-in can measure how many more
keeps a higher effort brings, so the last column has how many it must bring. The default is the highest effort that
needs little.
"""

import msgspec

from benchmarks.first_run import ROOT
from cockpit.agent.claude.estimate import THINKING_TOKENS, NightPlan, estimate_usage, stable_chars
from cockpit.core.model import Mode
from cockpit.fleet.sim.fleet import sim_spec
from cockpit.session.settings import AgentSettings

HOURS = 8.0
KEEPS = 118 / 20
"""Keeps of a simulated night, the mean of 20 (benchmarks/README.md)."""
KEEPS_AT_MOST = 0.25
"""Keeps a night that a step to the default effort may have to bring, to pay for itself."""


class Effort(msgspec.Struct, frozen=True):
    name: str
    usd: float
    """Dollars of the researcher in the night."""
    keep_usd: float
    """Dollars of clusters and researcher for a kept gain, with the same keeps at every effort."""
    keeps_to_pay: float
    """Keeps that the step from the effort below must bring in the night, so that a kept gain costs no more."""


def clusters_usd() -> float:
    """Return the dollars of the clusters in the night."""
    return HOURS * sum(cluster.usd_per_hour for cluster in sim_spec().clusters)


def efforts() -> list[Effort]:
    """Return every effort, the lowest first."""
    clusters, stable = clusters_usd(), stable_chars(ROOT)
    plan = NightPlan(Mode.AUTOPILOT, len(sim_spec().clusters), HOURS, time_budget_s=300.0, wave_size=16)
    found: list[Effort] = []
    for name in filter(None, THINKING_TOKENS):
        settings = msgspec.structs.replace(AgentSettings(), effort=name)
        usd = estimate_usage(settings, plan, stable).usd
        below = found[-1] if found else None
        to_pay = (usd - below.usd) / below.keep_usd if below else 0.0
        found.append(Effort(name, usd, (clusters + usd) / KEEPS, to_pay))
    return found


def chosen() -> str:
    """Return the highest effort that needs few keeps more than the one below it."""
    return [each.name for each in efforts() if each.keeps_to_pay <= KEEPS_AT_MOST][-1]


def main() -> None:
    print(f"clusters ${clusters_usd():.0f} for {HOURS:g} hours, {KEEPS:.1f} keeps")
    print("| effort | researcher, a night | a kept gain | keeps a night that the step must bring |")
    print("|---|---|---|---|")
    for each in efforts():
        print(f"| {each.name} | ${each.usd:.2f} | ${each.keep_usd:.2f} | {each.keeps_to_pay:.2f} |")
    print(f"the default: {chosen()}")


if __name__ == "__main__":
    main()
