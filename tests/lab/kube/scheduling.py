"""Where a pod is placed: the node it fits on, or a sentence like kube-scheduler's about why there is none. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from tests.lab.kube.objects import Object

_UNITS = {
    "": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40,
}  # fmt: skip


def quantity(text: Any) -> float:
    """Return a quantity such as `500m`, `64Gi` or 4 as a number."""
    found = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", str(text))
    if found is None:
        raise ValueError(f"{text!r} is not a quantity")
    return float(found[1]) * _UNITS[found[2]]


def requested(pod: Object) -> Counter[str]:
    """Return all that a pod's containers ask for."""
    total: Counter[str] = Counter({"pods": 1})
    for container in pod["spec"]["containers"]:
        resources = container.get("resources") or {}
        for name, amount in {**(resources.get("limits") or {}), **(resources.get("requests") or {})}.items():
            total[name] += quantity(amount)  # type: ignore[assignment]
    return total


def place(pod: Object, nodes: Iterable[Object], pods: Iterable[Object]) -> tuple[str, str]:
    """Return the name of the node for a pod, and why there is none. One of both is empty.

    Nodes with fewer free GPUs come first, as SkyPilot's bin packing asks for.
    """
    used: dict[str, Counter[str]] = {}
    for other in pods:
        if other["spec"].get("nodeName") and other["status"].get("phase") in ("Pending", "Running"):
            used.setdefault(other["spec"]["nodeName"], Counter()).update(requested(other))
    wants = requested(pod)
    fitting: list[tuple[float, str]] = []
    reasons: Counter[str] = Counter()
    number = 0
    for node in nodes:
        number += 1
        name = node["metadata"]["name"]
        free = Counter({key: quantity(value) for key, value in node["status"]["allocatable"].items()})
        free.subtract(used.get(name, Counter()))
        if reason := _unfit(pod, node, wants, free):
            reasons[reason] += 1
        else:
            fitting.append((free["nvidia.com/gpu"], name))
    if fitting:
        return min(fitting)[1], ""
    said = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
    return "", f"0/{number} nodes are available: {said}. preemption: 0/{number} nodes are available."


def _unfit(pod: Object, node: Object, wants: Mapping[str, float], free: Mapping[str, float]) -> str:
    """Return why a pod does not fit a node, in kube-scheduler's words; empty if it does."""
    if not is_ready(node):
        return "node(s) had untolerated taint {node.kubernetes.io/unreachable: }"
    if node["spec"].get("unschedulable"):
        return "node(s) were unschedulable"
    labels = node["metadata"].get("labels") or {}
    selector = pod["spec"].get("nodeSelector") or {}
    if any(labels.get(key) != value for key, value in selector.items()) or not _affine(pod, labels):
        return "node(s) didn't match Pod's node affinity/selector"
    lacking = [name for name, amount in wants.items() if amount > free.get(name, 0.0)]
    return f"Insufficient {lacking[0]}" if lacking else ""


def is_ready(node: Object) -> bool:
    return any(one["type"] == "Ready" and one["status"] == "True" for one in node["status"]["conditions"])


def _affine(pod: Object, labels: Mapping[str, str]) -> bool:
    affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if not required:
        return True
    return any(
        all(_term_matches(labels, term) for term in one.get("matchExpressions") or [])
        for one in required["nodeSelectorTerms"]
    )


def _term_matches(labels: Mapping[str, str], term: Mapping[str, Any]) -> bool:
    value = labels.get(term["key"])
    match term["operator"]:
        case "In":
            return value in term["values"]
        case "NotIn":
            return value not in term["values"]
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case operator:
            raise ValueError(f"the stand-in knows no operator {operator}")
