"""A score that was computed outside its run counts in place of the printed one."""

from pathlib import Path

import pytest

from cockpit.core.events import Ended
from cockpit.core.rescore import Rescore
from cockpit.fleet.base import Evidence, JobEnded
from tests.worker.test_long_logs import ENDS, Following

CODE = {"train.py": "t", "prepare.py": "p"}


@pytest.mark.parametrize(
    ("found", "score"),
    [
        (Rescore(public_bpb=1.2503, whole=True), 1.2503),
        (Rescore(public_bpb=1.2503, public_se=0.01), 1.25),
        (Rescore(public_bpb=1.26, whole=True), 1.25),
        (Rescore(trouble="the scorer gave no score"), 1.25),
        (None, 1.25),
    ],
    ids=["all of the text", "a part of it", "another score", "no score", "not asked for"],
)
def test_the_score_of_a_run_is_the_one_from_outside_where_all_text_was_scored(
    tmp_path: Path, found: Rescore | None, score: float
) -> None:
    following = Following(tmp_path)
    following.prints("e0.0", 100, ENDS)
    end = JobEnded(5.0, "e0.0", "exited", 0, evidence=Evidence(CODE, CODE, [], rescore=found))
    (ended,) = (event for event in following.tick(0.0, end) if isinstance(event, Ended))
    assert ended.metrics is not None and ended.metrics.score == score
    assert (ended.rescore is None) is (found is None)
    assert bool(ended.rescore and ended.rescore.failed) is (found is not None and found.public_bpb == 1.26)
