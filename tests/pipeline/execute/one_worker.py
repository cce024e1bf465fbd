"""A stand-in for a cluster: one worker, which is this process, is sent everything as JSON."""

from collections import Counter
from collections.abc import Iterator, Sequence

from pipeline.execute import order
from pipeline.execute.job import Done, Job
from pipeline.execute.order import Order, carry_out, folders_of, order_for, result_of, roots_of
from pipeline.execute.relay import Player, RelayDisplay
from pipeline.execute.shared_store import SharedStore
from pipeline.inputs import Inputs
from pipeline.runtime import Runtime


class OneWorker:
    """A cluster of one worker; it forgets everything after each job if it is to."""

    spreads = True

    def __init__(self, store: SharedStore | None = None, forgetful: bool = False) -> None:
        self.store, self.forgetful = store, forgetful
        self.store_url = None if store is None else store.url
        self.done: list[Job] = []

    def gpus(self, runtime: Runtime) -> float:
        return 0.0

    def expect(self, inputs: Inputs, at_once: int) -> None:
        """Nothing is started beforehand."""

    def run(self, inputs: Inputs, runtime: Runtime, jobs: Sequence[Job], at_once: int = 1) -> Iterator[Done]:
        player = Player(runtime.display)
        for number, job in enumerate(jobs):
            if self.forgetful:
                order._kept.clear()
            sent = Order.from_json(order_for(inputs, runtime, job, self.store).to_json())
            assert sent.job == job
            facts = result_of(carry_out(sent, RelayDisplay(lambda events: bool(player.play(events)), str(number))))
            if self.store is not None:
                self.store.get(roots_of(folders_of(inputs.run, runtime)), facts["files"])
            self.done.append(job)
            yield Done(job, facts["answer"])

    def close(self) -> None:
        """Nothing to give back."""

    @property
    def counts(self) -> Counter[str]:
        """How many jobs of each kind were done: of steps by their kind, of others by the name of their function."""
        return Counter(
            str(job.arguments[0]) if job.function.endswith(":do_step") else job.function.partition(":")[2]
            for job in self.done
        )
