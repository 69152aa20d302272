"""The control plane's stand-in: places pods on nodes, runs them, and plays outages: eviction, a node's end."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import itertools
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path

from tests.lab.kube import config, scheduling
from tests.lab.kube.objects import Object, Store, timestamp
from tests.lab.kube.pods import PodError, PodProcess

SCHEDULE_EVERY_S = 0.5
HISTORY = 5000
"""Changes kept for watches that begin at an earlier resource version."""
NODE_GRACE_S = 20.0
"""Seconds after which the pods of a dead node are marked for deletion. A real control plane waits 40 s before it finds
the node unreachable and marks its pods 5 minutes later."""
DELETE_GRACE_S = 2.0
"""Seconds for a deleted pod's processes, where the request names none; a real kubelet gives 30."""


class ControlPlane:
    """All that happens to objects without a request."""

    def __init__(self, root: Path, nodes: Iterable[config.NodePlan]) -> None:
        self._root = root
        self._watchers: set[asyncio.Queue[tuple[str, str, Object]]] = set()
        self._history: deque[tuple[str, str, Object]] = deque(maxlen=HISTORY)
        self.store = Store(self._tell)
        self._processes: dict[str, PodProcess] = {}
        """The pods that run, by uid."""
        self._numbers = itertools.count(10)
        self._tasks: set[asyncio.Task[None]] = set()
        self.store.create("namespaces", "", {"metadata": {"name": config.NAMESPACE}, "status": {"phase": "Active"}})
        self.store.create("serviceaccounts", config.NAMESPACE, {"metadata": {"name": "default"}})
        for plan in nodes:
            self.store.create("nodes", "", config.node_object(plan))

    def _tell(self, resource: str, change: str, each: Object) -> None:
        news = (resource, change, copy.deepcopy(each))
        self._history.append(news)
        for watcher in self._watchers:
            watcher.put_nowait(news)

    @contextlib.contextmanager
    def watch(self, version: int = 0) -> Iterator[asyncio.Queue[tuple[str, str, Object]]]:
        """Give a queue of all changes after a resource version, or from now on."""
        queue: asyncio.Queue[tuple[str, str, Object]] = asyncio.Queue()
        for news in self._history:
            if version and int(news[2]["metadata"]["resourceVersion"]) > version:
                queue.put_nowait(news)
        self._watchers.add(queue)
        try:
            yield queue
        finally:
            self._watchers.discard(queue)

    def process_of(self, pod: Object) -> PodProcess | None:
        """Return the processes of a pod; None where it does not run or its node is dead."""
        node = self.store.get("nodes", "", pod["spec"].get("nodeName") or "")
        if node is None or not scheduling.is_ready(node):
            return None
        return self._processes.get(pod["metadata"]["uid"])

    async def schedule(self) -> None:
        """Place pending pods, for ever."""
        while True:
            for pod in self.store.list("pods"):
                if pod["status"].get("phase") == "Pending" and not pod["spec"].get("nodeName"):
                    self._place(pod)
            await asyncio.sleep(SCHEDULE_EVERY_S)

    def admit(self, pod: Object) -> None:
        """Take in a pod that was just created."""
        pod["status"] = {"phase": "Pending", "qosClass": "Burstable", "conditions": []}

    def _place(self, pod: Object) -> None:
        node, why = scheduling.place(pod, self.store.list("nodes"), self.store.list("pods"))
        if not node:
            condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": why}
            if pod["status"]["conditions"] != [condition]:
                pod["status"]["conditions"] = [condition]
                self.store.update("pods", pod)
                self.event("Pod", pod, "FailedScheduling", why, "Warning", "default-scheduler")
            return
        pod["spec"]["nodeName"] = node
        said = f"Successfully assigned {config.NAMESPACE}/{pod['metadata']['name']} to {node}"
        self.event("Pod", pod, "Scheduled", said, "Normal", "default-scheduler")
        task = asyncio.create_task(self._run(pod))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, pod: Object) -> None:
        """Run a pod from its placement to its end."""
        process = PodProcess(self._root, pod, next(self._numbers))
        name = pod["spec"]["containers"][0]["name"]
        self._processes[pod["metadata"]["uid"]] = process
        try:
            await process.start()
        except PodError as error:
            self.event("Pod", pod, "FailedCreatePodSandBox", str(error), "Warning", "kubelet")
            self._finish(pod, 128, "StartError", str(error))
            return
        now = timestamp()
        true = [
            {"type": kind, "status": "True", "lastTransitionTime": now}
            for kind in ("PodScheduled", "Initialized", "PodReadyToStartContainers", "ContainersReady", "Ready")
        ]
        pod["status"] = {
            "phase": "Running", "qosClass": "Burstable", "conditions": true, "startTime": now,
            "podIP": process.address, "podIPs": [{"ip": process.address}], "hostIP": config.GATEWAY,
            "containerStatuses": [
                {
                    "name": name, "ready": True, "started": True, "restartCount": 0, "image": "this-machine",
                    "imageID": "this-machine", "containerID": f"lab://{process.pid}",
                    "state": {"running": {"startedAt": now}},
                }
            ],
        }  # fmt: skip
        self.store.update("pods", pod)
        self.event("Pod", pod, "Started", f"Started container {name}", "Normal", "kubelet")
        code = await process.ended()
        if pod["status"]["phase"] == "Running" and self.process_of(pod) is not None:
            self._finish(pod, code, "Error" if code else "Completed", "")

    def _finish(self, pod: Object, code: int, reason: str, message: str) -> None:
        pod["status"]["phase"] = "Failed" if code else "Succeeded"
        if message:
            pod["status"]["message"] = message
        for one in pod["status"]["conditions"]:
            if one["type"] in ("Ready", "ContainersReady"):
                one["status"] = "False"
        for one in pod["status"].get("containerStatuses", []):
            ended = {"exitCode": code, "reason": reason, "message": message, "finishedAt": timestamp()}
            one.update(ready=False, started=False, state={"terminated": ended})
        self.store.update("pods", pod)

    async def delete_pod(self, pod: Object, grace_s: float = DELETE_GRACE_S) -> None:
        """End a pod's processes, then remove it; by force, with a grace of 0, the other way round.

        The kubelet confirms the end: on a dead node a pod that is not removed by force stays until its node is back.
        """
        meta = pod["metadata"]
        if "deletionTimestamp" not in meta:
            meta["deletionTimestamp"] = timestamp()
            self.store.update("pods", pod)
        node = self.store.get("nodes", "", pod["spec"].get("nodeName") or "")
        is_dead = node is not None and not scheduling.is_ready(node)
        if not grace_s:
            self._remove(pod)
        if process := self._processes.pop(meta["uid"], None):
            await process.kill(grace_s)
            await process.remove()
        if not is_dead:
            self._remove(pod)

    def _remove(self, pod: Object) -> None:
        meta = pod["metadata"]
        if self.store.get("pods", meta["namespace"], meta["name"]) is pod:
            self.store.delete("pods", meta["namespace"], meta["name"])

    async def evict(self, name: str, message: str) -> None:
        """End a pod as the kubelet of a node under pressure does: it stays, Failed, with the reason Evicted."""
        pod = self._pod(name)
        self.event("Pod", pod, "Evicted", message, "Warning", "kubelet")
        pod["status"]["reason"] = "Evicted"
        self._finish(pod, 137, "Error", message)
        if process := self._processes.pop(pod["metadata"]["uid"], None):
            await process.kill()

    async def kill_node(self, name: str) -> None:
        """End everything on a node. Its pods are marked for deletion after a while, as a node controller does."""
        node = self._node(name)
        self._set_ready(node, "Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.")
        pods = [pod for pod in self.store.list("pods") if pod["spec"].get("nodeName") == name]
        for pod in pods:
            for one in pod["status"]["conditions"]:
                if one["type"] in ("Ready", "ContainersReady"):
                    one["status"] = "False"
            self.store.update("pods", pod)
            self.event("Pod", pod, "NodeNotReady", "Node is not ready", "Warning", "node-controller")
            if process := self._processes.get(pod["metadata"]["uid"]):
                await process.kill()
        await asyncio.sleep(NODE_GRACE_S)
        for pod in pods:
            self.event("Pod", pod, "TaintManagerEviction", "Marking for deletion Pod", "Normal", "taint-eviction")
            await self.delete_pod(pod)

    def revive_node(self, name: str) -> None:
        """Let a dead node serve again, empty: its kubelet confirms the end of what was to be deleted."""
        self._set_ready(self._node(name), "True", "KubeletReady", "kubelet is posting ready status")
        for pod in self.store.list("pods"):
            if pod["spec"].get("nodeName") == name and "deletionTimestamp" in pod["metadata"]:
                self._remove(pod)

    def _set_ready(self, node: Object, status: str, reason: str, message: str) -> None:
        node["status"]["conditions"] = [{"type": "Ready", "status": status, "reason": reason, "message": message}]
        self.store.update("nodes", node)

    def _pod(self, name: str) -> Object:
        pod = self.store.get("pods", config.NAMESPACE, name)
        if pod is None:
            raise KeyError(f"there is no pod {name}")
        return pod

    def _node(self, name: str) -> Object:
        node = self.store.get("nodes", "", name)
        if node is None:
            raise KeyError(f"there is no node {name}")
        return node

    def event(self, kind: str, about: Object, reason: str, message: str, sort: str, source: str) -> None:
        """Record an event about an object."""
        meta, now = about["metadata"], timestamp()
        involved = {"kind": kind, "name": meta["name"], "namespace": config.NAMESPACE, "uid": meta["uid"]}
        self.store.create(
            "events", config.NAMESPACE,
            {
                "metadata": {"generateName": f"{meta['name']}."}, "involvedObject": involved, "reason": reason,
                "message": message, "type": sort, "source": {"component": source}, "reportingComponent": source,
                "firstTimestamp": now, "lastTimestamp": now, "count": 1,
            },
        )  # fmt: skip

    async def close(self) -> None:
        """End all pods."""
        for process in self._processes.values():
            await process.kill()


async def changes(
    queue: asyncio.Queue[tuple[str, str, Object]], until: float
) -> AsyncIterator[tuple[str, str, Object]]:
    """Yield changes until the loop's clock says `until`."""
    loop = asyncio.get_running_loop()
    while (left := until - loop.time()) > 0:
        try:
            yield await asyncio.wait_for(queue.get(), left)
        except TimeoutError:
            return
