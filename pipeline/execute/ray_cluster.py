"""Jobs on a Ray cluster: an existing one (RAY_ADDRESS) or one of this machine, started and stopped here.

Ray places jobs by the cores and GPUs they ask for and starts them again when a worker or a node dies. What is done is
read from the reports in the run folder, not from Ray. Paths and words travel, never arrays, so a small object store is
enough.
"""

import os
import signal
import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from threadpoolctl import threadpool_limits

from data.errors import DataError, Interrupted, RecipeError, TrainingError
from data.images.pack import usable_cores
from pipeline.execute.job import Done, Job, free_to_begin
from pipeline.execute.order import Order, carry_out, folders_of, order_for, result_of, roots_of
from pipeline.execute.relay import Event, Player, RelayDisplay
from pipeline.execute.shared_store import SharedStore
from pipeline.memory import keep_freed_memory

if TYPE_CHECKING:
    from pipeline.inputs import Inputs
    from pipeline.runtime import Runtime

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# What Ray is about to make its default: a job without a GPU keeps CUDA_VISIBLE_DEVICES as it is.
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
try:
    # Typed in places only, so taken as untyped.
    ray: Any = import_module("ray")
    from ray.exceptions import RayError, RayTaskError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
except ImportError as error:
    raise DataError("the ray executor needs Ray: pip install 'fusionnetx[cluster]'") from error

LOOK_SECONDS = 0.2
ANSWER_SECONDS = 10.0
STOP_SECONDS = 60.0
"""After a request to stop, jobs may take this long to save their state; then they are ended."""
OBJECT_STORE_BYTES = 80 * 2**20
"""Ray's least; a container may have no more shared memory than 64 MB by default, and Ray then uses the disk."""


class Post:
    """An actor beside the driver: carries workers' events to it and its wish to stop to them."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._stop = False

    def tell(self, events: list[Event]) -> bool:
        """Leave events; the answer says whether to stop."""
        self._events += events
        return self._stop

    def collect(self) -> list[Event]:
        """Take all events."""
        events, self._events = self._events, []
        return events

    def stop(self) -> None:
        """Let every worker know."""
        self._stop = True


def work_on(order: str, post: Any, owner: str) -> str:
    """What a worker does with an order."""
    keep_freed_memory()
    own = f"{owner}/{os.uname().nodename}-{os.getpid()}"
    what = Order.from_json(order)

    def tell(events: list[Event]) -> bool:
        # From a thread: a task whose main thread waits gives its cores away, and Ray starts one more beside it.
        return talker.submit(lambda: bool(ray.get(post.tell.remote(events)))).result()

    # The cores that Ray sets aside decide nothing: the job says how many threads it runs, here as in one process.
    with ThreadPoolExecutor(1) as talker, threadpool_limits(what.job.cpus, user_api="blas"):
        return carry_out(what, RelayDisplay(tell, own))


class RayExecutor:
    """Has jobs done by the workers of a cluster."""

    spreads = True

    def __init__(self, store: str | None = None) -> None:
        self.store_url = store
        self._store = None if store is None else SharedStore(store)
        self._began = False
        self._nodes = 0
        self._player: Player | None = None

    def gpus(self, runtime: "Runtime") -> float:
        """GPUs of the whole cluster."""
        self._join(runtime)
        return float(ray.cluster_resources().get("GPU", 0.0))

    def expect(self, inputs: "Inputs", at_once: int) -> None:
        """Nothing is started beforehand."""

    def run(self, inputs: "Inputs", runtime: "Runtime", jobs: Sequence[Job], at_once: int = 1) -> Iterator[Done]:
        """Send all jobs and yield them as they finish; the cluster decides how many run at a time."""
        if not jobs:
            return
        self._join(runtime)
        refuse_too_large(jobs)
        node = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        post = ray.remote(Post).options(num_cpus=0, scheduling_strategy=node).remote()
        player = self._player = self._player or Player(runtime.display, (*inputs.data.notes, *inputs.data.understood))
        waiting: dict[Any, tuple[str, Job]] = {}
        unsent = list(jobs)

        def send() -> None:
            for job in free_to_begin(unsent, [job for _, job in waiting.values()]):
                unsent.remove(job)
                owner = str(len(jobs) - len(unsent))
                waiting[self._send(inputs, runtime, job, owner, post)] = owner, job

        try:
            send()
            while waiting:
                finished, _ = ray.wait(list(waiting), num_returns=1, timeout=LOOK_SECONDS)
                player.play(ray.get(post.collect.remote()))
                self._notice_lost_nodes(runtime)
                for reference in finished:
                    owner, job = waiting.pop(reference)
                    answer = self._receive(inputs, runtime, job, reference)
                    player.end_of(owner)
                    send()
                    yield Done(job, answer)
                runtime.display.check_stop()
        except RayTaskError:
            raise
        except RayError as error:
            raise TrainingError(
                f"the Ray cluster failed: {str(error).splitlines()[0]}; run again, finished jobs are kept"
            ) from error
        finally:
            player.end_all()
            self._end(waiting, post)

    def _send(self, inputs: "Inputs", runtime: "Runtime", job: Job, owner: str, post: Any) -> Any:
        order = order_for(inputs, runtime, job, self._store)
        # A worker that has had a GPU ends with its job: the next one may be given another GPU.
        task = ray.remote(num_gpus=job.gpus, max_calls=1)(work_on) if job.gpus else ray.remote(work_on)
        remote = task.options(
            num_cpus=job.cpus,
            max_retries=inputs.run.recipe.resources.retries,
            # An error of the work itself would only come again.
            retry_exceptions=False,
            # Jobs of one node share its memory and its disk, so all nodes are filled evenly.
            scheduling_strategy="SPREAD",
            name=job.title,
        )
        return remote.remote(order.to_json(), post, owner)

    def _receive(self, inputs: "Inputs", runtime: "Runtime", job: Job, reference: Any) -> Any:
        try:
            facts = result_of(ray.get(reference))
        except RayTaskError:
            raise
        except RayError as error:
            raise TrainingError(
                f"{job.title}: its worker died again and again ({str(error).strip().splitlines()[0]}); if memory is "
                "short, give the job more cores in [resources]; run again to go on"
            ) from error
        if facts.get("stopped"):
            raise Interrupted(130)
        if self._store is not None:
            self._store.get(roots_of(folders_of(inputs.run, runtime)), facts["files"])
        return facts["answer"]

    def _end(self, waiting: dict[Any, tuple[str, Job]], post: Any) -> None:
        """Ask what still runs to save its state and end; end it if it does not."""
        with suppress(RayError):
            if waiting:
                # Those that have not begun see the wish as they begin, and end.
                post.stop.remote()
                _, at_work = ray.wait(list(waiting), num_returns=len(waiting), timeout=STOP_SECONDS)
                # Only those: to cancel a task that has just ended brings Ray 2.60 down.
                for reference in at_work:
                    ray.cancel(reference, force=True)
        with suppress(RayError):
            ray.kill(post)

    def _join(self, runtime: "Runtime") -> None:
        if ray.is_initialized():
            return
        address = os.environ.get("RAY_ADDRESS")
        if address:
            require_answer(address)
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "CRITICAL"}
        with signals_kept():
            try:
                if address:
                    ray.init(address=address, **quiet)
                else:
                    ray.init(
                        address="local",
                        num_cpus=usable_cores(),
                        include_dashboard=False,
                        object_store_memory=OBJECT_STORE_BYTES,
                        _node_ip_address="127.0.0.1",
                        **quiet,
                    )
            except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
                raise DataError(
                    f"the Ray cluster {address or 'of this machine'} cannot be joined: {str(error).splitlines()[0]}; "
                    "check RAY_ADDRESS, or unset it to use this machine alone"
                ) from error
        self._began = True
        nodes = alive_nodes()
        self._nodes = len(nodes)
        cores = sum(node.get("CPU", 0) for node in nodes)
        runtime.display.say(f"ray: {counted_nodes(len(nodes))}, {cores:g} cores")

    def _notice_lost_nodes(self, runtime: "Runtime") -> None:
        now = len(alive_nodes())
        if now < self._nodes:
            runtime.display.warn(f"ray: {self._nodes - now} of {counted_nodes(self._nodes)} died; its jobs start again")
        self._nodes = now

    def close(self) -> None:
        """Leave the cluster; one of this machine ends with that."""
        if self._began:
            ray.shutdown()
            self._began = False


def alive_nodes() -> list[dict[str, float]]:
    """What each node of the cluster has."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def counted_nodes(count: int) -> str:
    """`1 node`, `2 nodes`."""
    return f"{count} node{'s' * (count != 1)}"


def require_answer(address: str) -> None:
    """Refuse an address where nobody answers; Ray would try for many minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdecimal():
        return  # `auto` and the like
    try:
        socket.create_connection((host, int(port)), timeout=ANSWER_SECONDS).close()
    except OSError as error:
        raise DataError(
            f"no Ray cluster answers at RAY_ADDRESS={address} ({error}); correct it, or unset it to use this machine"
        ) from error


def refuse_too_large(jobs: Sequence[Job]) -> None:
    """Refuse a job that no node can hold: Ray would wait for such a node for ever."""
    nodes = alive_nodes()
    for job in jobs:
        if not any(node.get("CPU", 0) >= job.cpus and node.get("GPU", 0) >= job.gpus for node in nodes):
            most = max(nodes, key=lambda node: (node.get("GPU", 0), node.get("CPU", 0)))
            raise RecipeError(
                f"{job.title} asks for {job.cpus} cores and {job.gpus:g} GPUs, but the largest node of the cluster has "
                f"{most.get('CPU', 0):g} and {most.get('GPU', 0):g}; lower [resources] in the recipe"
            )


@contextmanager
def signals_kept() -> Iterator[None]:
    """Keep the handlers of Ctrl-C and SIGTERM, which Ray sets its own way when it starts."""
    old = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in old.items():
            with suppress(ValueError):  # not the main thread, where Ray sets none either
                signal.signal(number, handler)
