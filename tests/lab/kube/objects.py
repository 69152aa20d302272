"""The objects of the API server's stand-in: stored, selected, merged and watched as Kubernetes does it. No I/O."""

from __future__ import annotations

import copy
import datetime
import itertools
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any

Object = dict[str, Any]

KINDS = {
    "pods": "Pod",
    "nodes": "Node",
    "namespaces": "Namespace",
    "services": "Service",
    "events": "Event",
    "secrets": "Secret",
    "configmaps": "ConfigMap",
    "serviceaccounts": "ServiceAccount",
    "persistentvolumes": "PersistentVolume",
    "persistentvolumeclaims": "PersistentVolumeClaim",
    "roles": "Role",
    "rolebindings": "RoleBinding",
    "clusterroles": "ClusterRole",
    "clusterrolebindings": "ClusterRoleBinding",
    "runtimeclasses": "RuntimeClass",
    "daemonsets": "DaemonSet",
    "deployments": "Deployment",
    "ingresses": "Ingress",
    "ingressclasses": "IngressClass",
    "storageclasses": "StorageClass",
}
GROUPS = {
    "v1": (
        "pods", "nodes", "namespaces", "services", "events", "secrets", "configmaps", "serviceaccounts",
        "persistentvolumes", "persistentvolumeclaims",
    ),
    "rbac.authorization.k8s.io/v1": ("roles", "rolebindings", "clusterroles", "clusterrolebindings"),
    "node.k8s.io/v1": ("runtimeclasses",),
    "apps/v1": ("daemonsets", "deployments"),
    "networking.k8s.io/v1": ("ingresses", "ingressclasses"),
    "storage.k8s.io/v1": ("storageclasses",),
}  # fmt: skip
CLUSTER_WIDE = frozenset(
    {
        "nodes",
        "namespaces",
        "persistentvolumes",
        "clusterroles",
        "clusterrolebindings",
        "runtimeclasses",
        "ingressclasses",
        "storageclasses",
    }
)


def timestamp() -> str:
    """Return the time now, as Kubernetes writes it."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def write_quantities(pod: Object) -> None:
    """Write the resources of a pod as Kubernetes does, whose quantities are text: 4 is "4"."""
    for container in (*pod["spec"].get("containers", ()), *pod["spec"].get("initContainers", ())):
        for amounts in container.get("resources", {}).values():
            if isinstance(amounts, dict):
                amounts.update({name: str(amount) for name, amount in amounts.items()})


class Conflict(Exception):
    """An object of this name exists."""


class Store:
    """All objects, by resource, namespace and name. `changed` gets each change, for watchers."""

    def __init__(self, changed: Callable[[str, str, Object], None]) -> None:
        """Prepare an empty store. `changed` gets the resource, ADDED, MODIFIED or DELETED, and the object."""
        self._objects: dict[tuple[str, str, str], Object] = {}
        self._versions = itertools.count(1)
        self._changed = changed

    def version(self) -> str:
        """Return a new resource version."""
        return str(next(self._versions))

    def get(self, resource: str, namespace: str, name: str) -> Object | None:
        return self._objects.get((resource, namespace, name))

    def list(self, resource: str, namespace: str = "", labels: str = "", fields: str = "") -> list[Object]:
        """Return the objects of a namespace, or of all, that both selectors match."""
        return [
            each
            for (kind, place, _), each in self._objects.items()
            if kind == resource and namespace in ("", place) and matches(each, labels, fields)
        ]

    def create(self, resource: str, namespace: str, given: Object) -> Object:
        """Add an object. Raises Conflict."""
        each = copy.deepcopy(given)
        each.setdefault("apiVersion", next(group for group, names in GROUPS.items() if resource in names))
        each.setdefault("kind", KINDS[resource])
        meta = each.setdefault("metadata", {})
        if "name" not in meta:
            meta["name"] = meta.get("generateName", "") + uuid.uuid4().hex[:5]
        if resource in CLUSTER_WIDE:
            namespace = ""
        else:
            meta["namespace"] = namespace
        key = (resource, namespace, meta["name"])
        if key in self._objects:
            raise Conflict(meta["name"])
        if resource == "pods":
            write_quantities(each)
        meta.update(uid=str(uuid.uuid4()), creationTimestamp=timestamp(), resourceVersion=self.version())
        self._objects[key] = each
        self._changed(resource, "ADDED", each)
        return each

    def update(self, resource: str, each: Object) -> None:
        """Tell watchers that an object of the store was changed in place."""
        each["metadata"]["resourceVersion"] = self.version()
        self._changed(resource, "MODIFIED", each)

    def delete(self, resource: str, namespace: str, name: str) -> Object | None:
        each = self._objects.pop((resource, namespace, name), None)
        if each is not None:
            each["metadata"]["resourceVersion"] = self.version()
            self._changed(resource, "DELETED", each)
        return each


def matches(each: Object, labels: str, fields: str) -> bool:
    """Return True if an object meets a label selector and a field selector."""
    own = each["metadata"].get("labels") or {}
    return all(_label_matches(own, part) for part in _parts(labels)) and all(
        _field_matches(each, part) for part in _parts(fields)
    )


def _parts(selector: str) -> list[str]:
    """Split a selector at the commas outside parentheses."""
    return [part.strip() for part in re.split(r",(?![^(]*\))", selector) if part.strip()]


_SET = re.compile(r"([^\s!=]+)\s+(in|notin)\s+\(([^)]*)\)")


def _label_matches(labels: Mapping[str, str], part: str) -> bool:
    if found := _SET.fullmatch(part):
        values = {value.strip() for value in found[3].split(",")}
        return (labels.get(found[1]) in values) == (found[2] == "in")
    if "!=" in part:
        name, _, value = part.partition("!=")
        return labels.get(name.strip()) != value.strip()
    if "=" in part:
        name, _, value = part.partition("=")
        return labels.get(name.strip()) == value.lstrip("=").strip()
    return part[1:] not in labels if part.startswith("!") else part in labels


def _field_matches(each: Object, part: str) -> bool:
    differs = "!=" in part
    path, _, value = part.partition("!=" if differs else "=")
    found: Any = each
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return (str("" if found is None else found) == value.lstrip("=")) != differs


def patch(each: Object, change: Any) -> None:
    """Apply a merge patch, or a list of JSON patch operations, in place."""
    if isinstance(change, list):
        for step in change:
            _patch_step(each, step)
    else:
        _merge(each, change)


def _merge(each: Object, change: Mapping[str, Any]) -> None:
    for name, value in change.items():
        if value is None:
            each.pop(name, None)
        elif isinstance(value, dict) and isinstance(each.get(name), dict):
            _merge(each[name], value)
        else:
            each[name] = copy.deepcopy(value)


def _patch_step(each: Object, step: Mapping[str, Any]) -> None:
    *folders, last = (name.replace("~1", "/").replace("~0", "~") for name in step["path"].strip("/").split("/"))
    place = each
    for name in folders:
        place = place.setdefault(name, {})
    if step["op"] == "remove":
        place.pop(last, None)
    else:
        place[last] = copy.deepcopy(step["value"])
