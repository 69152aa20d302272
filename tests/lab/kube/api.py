"""The API server's stand-in: HTTP requests of kubectl and of SkyPilot's Kubernetes client, answered from the store."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import web

from tests.lab.kube import streams
from tests.lab.kube.control import DELETE_GRACE_S, ControlPlane, changes
from tests.lab.kube.objects import CLUSTER_WIDE, GROUPS, KINDS, Conflict, Object, matches, patch
from tests.lab.kube.pods import PodProcess

WATCH_S = 300.0
"""Seconds of a watch that names no limit."""
BODY_BYTES = 1 << 26
LINE_BYTES = 1 << 20
"""Bytes of a request's first line: an exec has its command there."""


class Api:
    """Requests on a control plane. Those under `/lab` play outages, which no real API server has."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane, self._store = plane, plane.store
        self._later: set[asyncio.Task[None]] = set()

    def application(self) -> web.Application:
        app = web.Application(client_max_size=BODY_BYTES)
        app.router.add_route("*", "/{path:.*}", self._answer)
        return app

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        words = request.path.strip("/").split("/")
        match words:
            case ["version"]:
                return web.json_response(
                    {"major": "1", "minor": "34", "gitVersion": "v1.34.0", "platform": "linux/amd64"}
                )
            case ["readyz" | "livez" | "healthz"]:
                return web.Response(text="ok")
            case ["api"]:
                return web.json_response({"kind": "APIVersions", "versions": ["v1"]})
            case ["apis"]:
                return web.json_response(_groups())
            case ["lab", *outage]:
                return await self._play(outage, request)
            case ["api", version, *rest]:
                return await self._resource(request, version, rest)
            case ["apis", group, version, *rest]:
                return await self._resource(request, f"{group}/{version}", rest)
        return failure(404, "NotFound", f"the server has no {request.path}")

    async def _play(self, outage: list[str], request: web.Request) -> web.Response:
        try:
            match outage:
                case ["evict", pod]:
                    message = request.query.get("message", "The node was low on resource: ephemeral-storage.")
                    await self._plane.evict(pod, message)
                case ["kill", node]:
                    self._start(self._plane.kill_node(node))
                case ["revive", node]:
                    self._plane.revive_node(node)
                case _:
                    return failure(404, "NotFound", f"no outage is called {'/'.join(outage)}")
        except KeyError as error:
            return failure(404, "NotFound", str(error))
        return web.json_response({"status": "Success"})

    def _start(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def _resource(self, request: web.Request, group: str, rest: list[str]) -> web.StreamResponse:
        if group not in GROUPS:
            return failure(404, "NotFound", f"the server has no group {group}")
        if not rest:
            return web.json_response(_resources(group))
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2:
            namespace, rest = rest[1], rest[2:]
        resource, name, part = [*rest, "", ""][:3]
        if resource not in GROUPS[group]:
            return failure(404, "NotFound", f"the server has no {resource} in {group}")
        if resource in CLUSTER_WIDE:
            namespace = ""
        if not name:
            return await self._collection(request, resource, namespace, group)
        each = self._store.get(resource, namespace, name)
        if each is None:
            return failure(404, "NotFound", f'{resource} "{name}" not found')
        if part in ("exec", "log"):
            return await self._stream(request, each, part)
        return await self._single(request, resource, each)

    async def _collection(self, request: web.Request, resource: str, namespace: str, group: str) -> web.StreamResponse:
        labels = request.query.get("labelSelector", "")
        fields = request.query.get("fieldSelector", "")
        match request.method:
            case "GET" if request.query.get("watch") in ("true", "1"):
                return await self._watch(request, resource, namespace, labels, fields)
            case "GET":
                items = self._store.list(resource, namespace, labels, fields)
                kind, meta = f"{KINDS[resource]}List", {"resourceVersion": self._store.version()}
                return web.json_response({"kind": kind, "apiVersion": group, "metadata": meta, "items": items})
            case "POST":
                try:
                    each = self._store.create(resource, namespace, await request.json())
                except Conflict as error:
                    return failure(409, "AlreadyExists", self._conflict(resource, namespace, str(error)))
                if resource == "pods":
                    self._plane.admit(each)
                return web.json_response(each, status=201)
            case "DELETE":
                grace_s = await _grace_of(request)
                for each in self._store.list(resource, namespace, labels, fields):
                    self._delete(resource, each, grace_s)
                return web.json_response({"kind": "Status", "apiVersion": "v1", "status": "Success"})
        return failure(405, "MethodNotAllowed", request.method)

    async def _single(self, request: web.Request, resource: str, each: Object) -> web.Response:
        match request.method:
            case "GET":
                pass
            case "PATCH":
                patch(each, await request.json())
                self._store.update(resource, each)
            case "PUT":
                given = await request.json()
                given["metadata"] = {**each["metadata"], **given["metadata"]}
                each.clear()
                each.update(given)
                self._store.update(resource, each)
            case "DELETE":
                self._delete(resource, each, await _grace_of(request))
            case _:
                return failure(405, "MethodNotAllowed", request.method)
        return web.json_response(each)

    def _conflict(self, resource: str, namespace: str, name: str) -> str:
        """Return Kubernetes' words for a name that is taken; SkyPilot removes by force what is being deleted."""
        taken = self._store.get(resource, namespace, name)
        going = taken is not None and "deletionTimestamp" in taken["metadata"]
        return f'{"object is being deleted: " if going else ""}{resource} "{name}" already exists'

    def _delete(self, resource: str, each: Object, grace_s: float | None) -> None:
        if resource == "pods":
            self._start(self._plane.delete_pod(each, DELETE_GRACE_S if grace_s is None else grace_s))
        else:
            self._store.delete(resource, each["metadata"].get("namespace", ""), each["metadata"]["name"])

    async def _watch(
        self, request: web.Request, resource: str, namespace: str, labels: str, fields: str
    ) -> web.StreamResponse:
        """Stream the objects that a selector matches, and their changes, one JSON document a line."""
        loop = asyncio.get_running_loop()
        until = loop.time() + float(request.query.get("timeoutSeconds") or WATCH_S)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        whole = request.query.get("sendInitialEvents") in ("true", "1")
        version = 0 if whole else int(request.query.get("resourceVersion") or 0)
        with self._plane.watch(version) as queue:
            if not version:
                for each in self._store.list(resource, namespace, labels, fields):
                    await response.write(_line("ADDED", each))
            if whole:
                await response.write(_line("BOOKMARK", self._bookmark(resource)))
            async for kind, change, each in changes(queue, until):
                here = namespace in ("", each["metadata"].get("namespace", ""))
                if kind == resource and here and matches(each, labels, fields):
                    await response.write(_line(change, each))
        return response

    def _bookmark(self, resource: str) -> Object:
        """Return the end of the objects that a watch begins with."""
        meta = {"resourceVersion": self._store.version(), "annotations": {"k8s.io/initial-events-end": "true"}}
        group = next(group for group, names in GROUPS.items() if resource in names)
        return {"kind": KINDS[resource], "apiVersion": group, "metadata": meta}

    async def _stream(self, request: web.Request, pod: Object, part: str) -> web.StreamResponse:
        process = self._plane.process_of(pod)
        name = pod["metadata"]["name"]
        if part == "log":
            return await _log(request, process) if process else failure(404, "NotFound", f"pod {name} has no log")
        phase = pod["status"].get("phase")
        if phase in ("Failed", "Succeeded"):
            return failure(
                400, "BadRequest", f"cannot exec into a container in a completed pod; current phase is {phase}"
            )
        if process is None or not process.pid:
            node = pod["spec"].get("nodeName") or "no node"
            return failure(
                500, "InternalError", f"error dialing backend: dial tcp: connect to {node}: no route to host"
            )
        return await streams.execute(request, process)


async def _grace_of(request: web.Request) -> float | None:
    """Return the seconds that a deletion gives; 0 deletes by force, None where it does not say."""
    given = request.query.get("gracePeriodSeconds")
    if given is None and request.can_read_body:
        given = (await request.json() or {}).get("gracePeriodSeconds")
    return None if given is None else float(given)


async def _log(request: web.Request, process: PodProcess) -> web.StreamResponse:
    """Send a pod's output; with `follow` until the pod ends."""
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    await response.prepare(request)
    follow = request.query.get("follow") in ("true", "1")
    ended = asyncio.create_task(process.ended())
    with process.log.open("rb") as file:
        if lines := request.query.get("tailLines"):
            await response.write(b"".join(file.readlines()[-int(lines) :]))
        while True:
            over = ended.done()
            while data := file.read(1 << 16):
                await response.write(data)
            if over or not follow:
                break
            await asyncio.wait({ended}, timeout=0.2)
    ended.cancel()
    return response


def _line(change: str, each: Object) -> bytes:
    return json.dumps({"type": change, "object": each}).encode() + b"\n"


def failure(code: int, reason: str, message: str) -> web.Response:
    """Return an error as Kubernetes writes it."""
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure"}
    return web.json_response({**status, "reason": reason, "code": code, "message": message}, status=code)


def _groups() -> dict[str, object]:
    groups = []
    for group in GROUPS:
        if "/" in group:
            version = {"groupVersion": group, "version": group.partition("/")[2]}
            groups.append({"name": group.partition("/")[0], "versions": [version], "preferredVersion": version})
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def _resources(group: str) -> dict[str, object]:
    verbs = ["get", "list", "watch", "create", "patch", "update", "delete", "deletecollection"]
    resources = [
        {"name": name, "singularName": "", "namespaced": name not in CLUSTER_WIDE, "kind": KINDS[name], "verbs": verbs}
        for name in GROUPS[group]
    ]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group, "resources": resources}
