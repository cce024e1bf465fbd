"""What is compared, and the data as each protocol sees them: paired by its rule, packed at the size a network needs."""

from dataclasses import dataclass

from data.readers.paired import PairingRecipe
from pipeline.inputs import Inputs
from pipeline.make import make_batch
from pipeline.plan import plan_of
from pipeline.runtime import Runtime
from research.systems.forms import at_most, seeing_alone
from research.systems.protocols import PROTOCOLS, ProtocolName
from research.systems.registry import System

FAST_PACK, FAST_FOLDS = 112, 3


@dataclass(frozen=True)
class Comparison:
    """What is compared, and how."""

    systems: tuple[System, ...]
    protocols: tuple[ProtocolName, ...] = PROTOCOLS
    fast: bool = False
    largest: int = 0
    """Side in pixels that no network exceeds; 0 leaves the recipes' sizes."""

    def pack_size(self, system: System) -> int:
        """Side of the packed images, as large as the system's network wants them."""
        if self.fast:
            return FAST_PACK
        if system.two_stages:
            return self.largest or 224
        network = system.network
        return FAST_PACK if network.backbone == "none" else at_most(network, self.largest).input_size

    def view(self, inputs: Inputs, runtime: Runtime, system: System, protocol: ProtocolName) -> Inputs:
        """The data for a system by a protocol, divided into folds; views of all sizes share the protocol's folder."""
        run, recipe = inputs.run, inputs.run.recipe
        data = recipe.data.model_copy(update={"image_size": self.pack_size(system)})
        if data.pairing is not None:
            data = data.model_copy(update={"pairing": paired(data.pairing, protocol)})
        folds = recipe.folds
        if self.fast and folds.file is None:
            folds = folds.model_copy(update={"count": FAST_FOLDS})
        seeing = not system.two_stages and system.network.backbone != "none"
        models = (seeing_alone(system.network),) if seeing else ()
        view = run.derive(
            recipe=recipe.model_copy(update={"data": data, "folds": folds, "image_models": models}),
            folder=run.folder / "systems" / protocol,
            # Synthetic data are made for the pairing of the recipe and stay the same for the other one.
            data_dir=None if data.pairing is None else inputs.source_dir,
        )
        given = inputs.data if data.pairing is None else None
        return divided(Inputs(view, runtime.shown_on(runtime.display), given=given))


def divided(view: Inputs) -> Inputs:
    """The same data with their folds made."""
    make_batch("folds", [plan_of(view).folds], view, view.runtime)
    return view


def paired(pairing: PairingRecipe, protocol: ProtocolName) -> PairingRecipe:
    """By label as published; else as the recipe says, and where that is by label, at random."""
    if protocol == "published":
        return pairing.model_copy(update={"method": "by_label"})
    return pairing.model_copy(update={"method": "at_random"}) if pairing.method == "by_label" else pairing
