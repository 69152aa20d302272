"""A keep on runs that were paired by seed: its certificate tells how many, and has the seeds."""

from cockpit.certificate.body import body
from cockpit.certificate.check import keep_summary
from cockpit.core.paired_runs import paired_words
from cockpit.read.scores import kept_estimate
from cockpit.read.wording import runs_words
from tests.decide.test_run_seeds import night


def test_a_certificate_of_a_keep_on_pairs_shows_how_many_and_has_their_seeds() -> None:
    state = night().state
    found = body(state, 0, "", "key")
    estimate = kept_estimate(state, state.incumbent)
    assert estimate is not None and estimate.pairs > 0
    assert found["estimate"]["pairs"] == estimate.pairs
    seeds = [run["seed"] for run in found["runs"]]
    assert len(set(seeds)) == len(seeds) >= estimate.pairs
    assert keep_summary(found).endswith(f"in {runs_words(estimate)}")
    assert paired_words(estimate.runs, estimate.pairs) in runs_words(estimate)
    assert [paired_words(3, pairs) for pairs in (0, 2, 3)] == ["", ", 2 of them paired by seed", ", paired by seed"]


def test_a_certificate_without_pairs_says_nothing_of_them() -> None:
    found = body(night().state, 0, "", "key")
    del found["estimate"]["pairs"]
    assert "paired" not in keep_summary(found)
