"""Answers that the real SkyPilot gave on the Kubernetes lab, with the names of its machine left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sky import exceptions
from sky.schemas.api.responses import ClusterJobRecord, StatusResponse
from sky.skylet.job_lib import JobStatus
from sky.utils.status_lib import ClusterStatus

ANSWERS: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "sky_answers.json").read_text(encoding="utf-8"))
"""The answers by call: records of `status`, rows of `queue`, and errors. CLUSTER stands for the cluster's name."""


def status(kind: str, cluster: str, **own: Any) -> StatusResponse:
    """Return the record of a cluster that is of this kind, with fields of its own."""
    return status_of(_named(ANSWERS["status"][kind], cluster) | own)


def status_of(record: dict[str, Any]) -> StatusResponse:
    """Return a record as SkyPilot's client has it."""
    return StatusResponse(**{**record, "status": ClusterStatus(record["status"])})


def evicted(cluster: str) -> str:
    """Return the reason in the record of a cluster whose pod was evicted."""
    return str(_named(ANSWERS["status"]["evicted"], cluster)["init_status_reason"])


def job(**own: Any) -> ClusterJobRecord:
    """Return a row of a job table with fields of its own."""
    return ClusterJobRecord(**{**ANSWERS["queue"][0], **own})


def queue(cluster: str) -> list[ClusterJobRecord]:
    """Return the job table of a cluster."""
    rows = _named(ANSWERS["queue"], cluster)
    return [ClusterJobRecord(**{**row, "status": JobStatus(row["status"])}) for row in rows]


def error(name: str, cluster: str) -> Exception:
    """Return a new one of the errors."""
    found = ANSWERS["errors"][name]
    made: Exception = getattr(exceptions, found["class"])(*_named(found["args"], cluster))
    return made


def _named(answer: Any, cluster: str) -> Any:
    return json.loads(json.dumps(answer).replace("CLUSTER", cluster))
