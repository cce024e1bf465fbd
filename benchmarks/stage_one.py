"""Images per second of stage one, against the straightforward way of feeding a network.

    python -m benchmarks.stage_one [--model convnextv2_nano] [--size 224] [--batch 32] [--seconds 5] [--json PATH]
    python -m benchmarks.stage_one --busy 4         (whole fits beside busy programs: benchmarks/beside/busy.py)
    python -m benchmarks.stage_one --side-by-side   (the demo's stage one both ways: benchmarks/beside/whole_stage.py)
    python -m benchmarks.stage_one --small          (seconds, to see that it runs; its figures mean nothing)

(a) straightforward: a torch Dataset that opens the HDF5 file, decodes and augments image by image with Pillow and
    torchvision, in a DataLoader with one worker per core;
(b) our loader alone: rows gathered from the memory-mapped pack, augmented in batches on the device;
(c) training steps alone, on one batch that stays on the device;
(d) end to end: (c) fed by (b), and for comparison by (a).

Per-core figures are per second of processor time, ours with one torch thread, the straightforward way in one process
without the cost of passing batches between processes. The pack is made beforehand; `benchmarks/pack.py` measures that.
Needs h5py, Pillow and torchvision beside what `image_models` needs.
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count, repeat
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from benchmarks.beside.tiles import Tiles, packed, write_tiles
from benchmarks.measuring import Results
from image_models.device import choose_device, device_name
from image_models.networks.cost import describe
from image_models.networks.zoo import build
from image_models.precision import autocast, choose_precision
from image_models.predict import placed
from image_models.recipe import ImageModelRecipe
from image_models.setup import Setup
from image_models.training.inputs import step_inputs
from image_models.training.loader import gathered, overlapped, resident_images
from image_models.training.losses import summed_loss
from image_models.training.optimise import Optimiser
from image_models.training.plan import FitPlan, plan_training

Batch = tuple[Tensor, Tensor]
"""Pixels, and labels as shares of the two classes, on the device."""
DEMO = {"model": "lesion_net", "size": 64}
"""What --busy measures unless told otherwise: a network of the demo."""
SMALL = {"images": 64, "pack": 32, "size": 32, "model": "lesion_net", "batch": 8, "seconds": 0.05, "repeats": 1}
Work = Callable[[], Iterator[int]]
"""Makes an endless piece of work that yields how many images each turn was for."""


class Stage:
    """One network, its training set both ways, and the pieces of work that are timed."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.device = choose_device(options.device)
        self.recipe = ImageModelRecipe(
            name="benchmark",
            backbone=options.model,
            pretrained="none",
            image_size=options.size,
            batch_size=options.batch,
            negatives_per_positive=0,
            resident=options.resident,
        )
        names = write_tiles(folder / "tiles.hdf5", options.images)
        self.lesions = packed(folder / "tiles.hdf5", names, options.pack, folder)
        self.rows = np.arange(len(names))
        self.plan: FitPlan = plan_training(self.recipe, self.lesions, self.rows, seed=0).fits[0]
        self.model: nn.Module = placed(build(self.recipe, 2), self.recipe, self.device)
        self.cost = describe(self.model, options.size)
        self.precision = choose_precision(self.recipe, self.device, self.model)
        self.optimiser = Optimiser(self.model, self.recipe, self.precision, self.device)
        self.tiles = Tiles(folder / "tiles.hdf5", names, self.recipe)
        self.workers = options.workers
        self.resident = resident_images(self.recipe, self.lesions, self.rows, self.device)
        self.model.train()

    def straightforward(self, workers: int) -> Iterator[Batch]:
        """Yield batches of the DataLoader, on the device, for ever."""
        loader = DataLoader(
            self.tiles, self.recipe.batch_size, shuffle=True, num_workers=workers, pin_memory=self.device.type == "cuda"
        )
        while True:
            for pixels, labels in loader:
                moved = pixels.to(self.device, non_blocking=True, memory_format=torch.channels_last)
                yield moved, nn.functional.one_hot(labels.to(self.device, non_blocking=True), 2).float()

    def ours(self, device: torch.device) -> Iterator[Batch]:
        """Yield batches of our loader, on the device, for ever."""
        for epoch in count():
            resident = self.resident if device == self.device else None
            setup = Setup(device, self.precision)
            inputs = step_inputs(self.recipe, self.lesions, self.plan, setup, epoch=epoch, seed=0, resident=resident)
            for step in overlapped(inputs, device):
                for batch in step.batches:
                    assert batch.shown.pixels is not None
                    yield batch.shown.pixels, batch.shares

    def gathering(self) -> Iterator[int]:
        """Do the processor's share of our loader when a GPU augments: gather rows of the memory map."""
        while True:
            order = np.random.default_rng(0).permutation(self.rows)
            parts = np.array_split(order, max(len(order) // self.recipe.batch_size, 1))
            for block in gathered(self.lesions.images, parts, torch.device("cpu")):
                yield len(block)

    def train(self, batches: Iterator[Batch]) -> Iterator[int]:
        """Take a training step on every batch."""
        even = torch.ones(2, device=self.device)
        for step in count():
            pixels, shares = next(batches)
            with autocast(self.precision, self.device):
                logits = self.model(pixels)
            self.optimiser.backward(summed_loss(logits, shares, even, 0.0) / len(pixels))
            self.optimiser.step(1e-4)
            if self.device.type == "cuda" and step % 8 == 7:
                torch.cuda.current_stream().synchronize()  # training too looks at its loss a few steps behind
            yield len(pixels)


def only_loading(batches: Iterator[Batch]) -> Iterator[int]:
    """Count what a loader yields."""
    for pixels, _ in batches:
        yield len(pixels)


def images_per_second(work: Work, seconds: float, device: torch.device, clock: Callable[[], float]) -> float:
    """Let work run for a while, after two turns of warm-up, and time it."""
    turns = work()
    for _ in range(2):
        next(turns)
    settle(device)
    began, started, images = time.perf_counter(), clock(), 0
    while time.perf_counter() - began < seconds:
        images += next(turns)
    settle(device)
    return images / (clock() - started)


def settle(device: torch.device) -> None:
    """Wait until the device has done what was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measure(stage: Stage, seconds: float, repeats: int) -> dict[str, float]:
    """Medians over interleaved repeats, so that a change in the machine's mood falls on all alike."""
    here, cpu = stage.device, torch.device("cpu")
    one_batch = next(stage.ours(here))
    cores, wall, used = torch.get_num_threads(), time.perf_counter, time.process_time

    works: dict[str, tuple[Work, int, Callable[[], float], torch.device]] = {
        "straightforward loader, one core": (lambda: only_loading(stage.straightforward(0)), 1, used, here),
        "gathering, one core": (stage.gathering, 1, used, cpu),
        "loader and augmentation, one core": (lambda: only_loading(stage.ours(cpu)), 1, used, cpu),
        "(a) straightforward loader": (lambda: only_loading(stage.straightforward(stage.workers)), cores, wall, here),
        "(b) our loader": (lambda: only_loading(stage.ours(here)), cores, wall, here),
        "(c) model alone": (lambda: stage.train(repeat(one_batch)), cores, wall, here),
        "(d) end to end": (lambda: stage.train(stage.ours(here)), cores, wall, here),
        "model fed by (a)": (lambda: stage.train(stage.straightforward(stage.workers)), cores, wall, here),
    }
    found: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, (work, threads, clock, device) in works.items():
            torch.set_num_threads(threads)
            found[name].append(images_per_second(work, seconds, device, clock))
    torch.set_num_threads(cores)
    return {name: statistics.median(values) for name, values in found.items()}


def compared(speed: dict[str, float], on_gpu: bool) -> Results:
    """Our figures beside what they are to be compared with."""
    slow_core, found = "straightforward loader, one core", Results()
    for name, ours, other, goal in (
        ("loader per CPU core, a GPU augmenting", "gathering, one core", slow_core, "20 x"),
        ("loader per CPU core, augmenting too", "loader and augmentation, one core", slow_core, "2 x"),
        ("loader, whole machine", "(b) our loader", "(a) straightforward loader", ""),
        ("end to end, against the model alone", "(d) end to end", "(c) model alone", "0.9 x" * on_gpu),
        ("end to end, against a DataLoader", "(d) end to end", "model fed by (a)", ""),
    ):
        found.add(name, speed[ours], speed[other], "images/s", goal, rate=True)
    return found


def asked() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--pack", type=int, default=224, help="side of the packed images")
    parser.add_argument("--size", type=int, default=224, help="side of the network's input")
    parser.add_argument("--model", default="convnextv2_nano")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--resident", choices=["auto", "device", "host"], default="auto", help="where the pack lives")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seconds", type=float, default=5.0, help="of every measurement")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--busy", type=int, metavar="N", help="how much slower N busy programs make training")
    parser.add_argument("--side-by-side", action="store_true", help="the demo's stage one, side by side or not")
    parser.add_argument("--set", action="append", default=[], help="change the demo's recipe for --side-by-side")
    parser.add_argument("--small", action="store_true", help="a few seconds in all, to see that it runs")
    parser.add_argument("--json", type=Path)
    if parser.parse_known_args()[0].busy:
        parser.set_defaults(**DEMO)
    if parser.parse_known_args()[0].small:
        parser.set_defaults(**SMALL)
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    options = asked()
    found = beside(options) if options.busy or options.side_by_side else by_the_image(options)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


def beside(options: argparse.Namespace) -> dict[str, Any]:
    """Compare whole fits: beside busy programs, or side by side."""
    from benchmarks.beside import busy, whole_stage

    if options.busy:
        what = {"network": options.model, "side": options.size}
        rows = busy.measure(options.busy, **what, seconds=options.seconds, repeats=options.repeats)
        busy.show(options.busy, rows)
    else:
        with tempfile.TemporaryDirectory() as name:
            rows = [whole_stage.measure(Path(name), options.set)]
        whole_stage.show(rows[0])
    return {"machine": machine(torch.device("cpu")), "results": rows}


def machine(device: torch.device) -> str:
    """What was measured on."""
    return f"{platform.machine()}, {os.cpu_count()} cores, {device_name(device)}, torch {torch.__version__}"


def by_the_image(options: argparse.Namespace) -> dict[str, Any]:
    """Compare loaders and training loops by the images that they pass a second."""
    with tempfile.TemporaryDirectory() as name:
        stage = Stage(options, Path(name))
        speed = measure(stage, options.seconds, options.repeats)
    print(
        f"{machine(stage.device)}\n"
        f"{options.model} at {options.size} px, batches of {options.batch}, {stage.precision}: "
        f"{stage.cost.parameters / 1e6:.1f} M parameters, {stage.cost.gflops:.2f} GFLOP per image"
    )
    for name, value in speed.items():
        print(f"{name:40} {value:12,.1f} images/s")
    rows = compared(speed, stage.device.type == "cuda").rows
    return {"machine": machine(stage.device), "results": rows}


if __name__ == "__main__":
    main()
