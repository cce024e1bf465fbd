"""The null test of protocols: labels dealt to other lesions, then balanced, divided, trained and scored as ever.

Whatever a protocol scores then it scores by itself. Beside the networks stands a look-up: it knows the label of every
image that it has seen and nothing else, and so shows how much a protocol gives away to whoever remembers.
"""

import dataclasses
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.cohort import DataFolder
from data.errors import RecipeError
from data.files import write_json
from data.readers.paired import PREFIX
from data.scores.scores import SCORES, UndefinedScoreError
from pipeline.audit.deal import Ints, deal
from pipeline.audit.null_test import Floats, NullTest, Outcome, judged
from pipeline.audit.scratch import scratch
from pipeline.audit.variants import UNEVEN, relabelled_by
from pipeline.inputs import Inputs
from pipeline.runtime import Runtime
from pipeline.scoring import NOTHING
from research.systems.comparison import Comparison, divided
from research.systems.network import NetworkRun
from research.systems.protocols import ProtocolName
from research.systems.registry import System
from research.systems.run import why_not
from research.systems.scored import Scored
from research.systems.table import markdown_table, print_cells

LOOK_UP = "look-up of seen images"
TESTED = ("accuracy", "auc")


@dataclass(frozen=True)
class NullResult:
    """One column by one protocol, on dealt labels."""

    system: str
    column: str
    protocol: ProtocolName
    shared_rows: float
    tests: Mapping[str, NullTest]


def run_null(
    inputs: Inputs, runtime: Runtime, comparison: Comparison, *, draws: int, as_markdown: bool = False
) -> list[NullResult]:
    """Run the systems on dealt labels by each protocol; print and keep what they score beside chance."""
    results: list[NullResult] = []
    systems = [s for s in comparison.systems if not s.two_stages and why_not(s, inputs.run.recipe) is None]
    if not systems:
        raise RecipeError("the null test of protocols needs a single network that can be run on this data set; the two "
                          "stages have a null test of their own, `fusionnetx audit`")  # fmt: skip
    for system in systems:
        for protocol in comparison.protocols:
            results += tested(inputs, runtime, comparison, system, protocol, draws)
    heading, rows = null_cells(results)
    write_json(inputs.run.folder / "null.json", [
        {"system": r.system, "column": r.column, "protocol": r.protocol, "shared_rows": r.shared_rows,
         "tests": {name: test.as_dict() for name, test in r.tests.items()}}
        for r in results
    ])  # fmt: skip
    if as_markdown:
        runtime.display.say(markdown_table(heading, rows))
    else:
        print_cells(runtime.display.console, "Null test: labels dealt to other lesions", heading, rows)
    runtime.display.say(f"wrote {inputs.run.folder / 'null.json'}")
    return results


def tested(
    inputs: Inputs, runtime: Runtime, comparison: Comparison, system: System, protocol: ProtocolName, draws: int
) -> list[NullResult]:
    """The network and the look-up by one protocol."""
    finished: list[tuple[Ints, Outcome]] = []
    shared, seed = list[float](), inputs.run.recipe.seed
    original = comparison.view(inputs, runtime, system, protocol)
    before = original.data.train
    for draw in range(draws):
        giver = deal(before.groups, np.random.default_rng([seed, 0, draw]))
        view = dealt_view(original, giver, inputs.run.folder / "null" / f"{protocol}_{draw}")
        network = NetworkRun(view, system, protocol, comparison)
        scored = network.run(f"null test of {system.name}, {protocol}, draw {draw + 1} of {draws}")
        finished.append((giver, outcome(network, scored)))
        shared.append(scored.shared_rows)
    found = []
    for name in (system.name, LOOK_UP):
        alone = [(giver, dataclasses.replace(one, columns={name: one.columns[name]})) for giver, one in finished]
        tests: dict[str, NullTest] = {}
        for score in TESTED:
            # A small test part may lack a class in some deal, and with it the score of that deal.
            with suppress(UndefinedScoreError):
                tests[score] = judged(
                    alone, before.target, before.groups, seed=seed, score=score, deals=199, alarm=0.01
                )
        found.append(NullResult(system.name, name, protocol, float(np.mean(shared)), tests))
        means = ", ".join(f"{score} {test.columns[0].score:.3f}" for score, test in tests.items())
        runtime.display.say(f"null test of {system.name}, {protocol}, {name}: {means}")
    return found


def outcome(network: NetworkRun, scored: Scored) -> Outcome:
    """What the network and the look-up said of the scored rows."""
    train, parts = network.view.data.train, network.division.parts
    ends = np.cumsum([len(part.test) for part in parts])[:-1]
    looked_up = [
        look_up(train.target, part.train, rows, len(train.task.classes))
        for part, rows in zip(parts, np.split(scored.rows, ends), strict=True)
    ]
    fold = np.repeat(np.arange(len(parts), dtype=np.int64), [len(part.test) for part in parts])
    probability = scored.probability[:, 0] if scored.probability.shape[1] == 1 else scored.probability
    return Outcome(scored.rows, fold, {network.system.name: probability, LOOK_UP: np.concatenate(looked_up)})


def dealt_view(view: Inputs, giver: Ints, folder: Path) -> Inputs:
    """The data set with the labels of other lesions, in a folder of its own."""
    data, recipe = relabelled_by(view.data, giver), view.run.recipe
    pairing = recipe.data.pairing
    if pairing is not None and pairing.method == "by_label":
        data = paired_again(data, view.data, giver)
    folds = recipe.folds.model_copy(update={"file": None, "max_positive_imbalance": UNEVEN})
    return divided(scratch(view, view.runtime, folder, recipe.model_copy(update={"folds": folds}), data))


def paired_again(data: DataFolder, before: DataFolder, giver: Ints) -> DataFolder:
    """Patients drawn by the dealt label: those of the lesion that gave it, who were drawn by nothing else."""
    old, train = before.train.table, data.train
    moved = [name for name in old.columns if name.startswith(PREFIX)]
    table = train.table.with_columns(old[name].gather(giver) for name in moved)
    return dataclasses.replace(data, train=dataclasses.replace(train, table=table))


def look_up(target: Ints, train: Ints, test: Ints, classes: int) -> Floats:
    """Certain of the label of an image that was learned from, else the share of each class (or of the positive one)."""
    shares = np.bincount(target[train], minlength=classes) / len(train)
    probability = np.tile(shares, (len(test), 1))
    seen = np.isin(test, train)
    probability[seen] = np.eye(classes)[target[test[seen]]]
    return probability[:, 1] if classes == 2 else probability


def null_cells(results: list[NullResult]) -> tuple[list[str], list[list[str]]]:
    """One row per column and protocol."""
    heading = ["system", "column", "protocol", "copies learned from",
               *(f"{SCORES[s].title}{what}" for s in TESTED for what in ("", ": chance")), "leak"]  # fmt: skip
    rows = []
    for result in results:
        cells: list[str] = []
        for score in TESTED:
            if score not in result.tests:
                cells += [NOTHING, NOTHING]
                continue
            column = result.tests[score].columns[0]
            cells += [f"{column.score:.3f} ({column.low:.3f} to {column.high:.3f})",
                      f"{column.chance_low:.3f} to {column.chance_high:.3f}"]  # fmt: skip
        leak = any(test.columns[0].distance > 0 and not test.passed for test in result.tests.values())
        rows.append([result.system, result.column, result.protocol, f"{result.shared_rows:.1%}", *cells,
                     "yes" if leak else "no"])  # fmt: skip
    return heading, rows
