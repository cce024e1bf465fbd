"""Pretrained weights for a backbone: from the weights folder, from a named file or from the model hub.

The classifier of a weight file is dropped and position embeddings are resized; anything else that does not fit is an
error, because a half-loaded network trains without complaint. What training writes is taken as a start for other
data, less its head; whole models are read in `model_file.py`.
"""

import inspect
import logging
import math
import sys
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from timm.layers.pos_embed import resample_abs_pos_embed
from timm.models import PretrainedCfg, get_pretrained_cfg, is_model, load_state_dict_from_hf, split_model_name_tag
from torch import Tensor, nn

from data.errors import RecipeError, TrainingError
from data.files import atomic
from data.spelled import spelled
from image_models.networks.layers import batch_norms
from image_models.networks.packaged_weights import PREFIX, matched_by_place, packaged_file, read_packaged
from image_models.recipe import ImageModelRecipe

log = logging.getLogger(__name__)

State = dict[str, Tensor]

HUB_FILE = "model.safetensors"
"""Named outright, so that timm does not go on to look for a pickle."""

SHOWN = 4
"""Names listed per kind of misfit before the message stops counting them out."""


def load_pretrained(backbone: nn.Module, recipe: ImageModelRecipe, weights_dir: Path | None = None) -> None:
    """Give a backbone the weights its recipe names."""
    if recipe.pretrained == "none":
        return
    if recipe.pretrained.startswith(PREFIX):
        path = packaged_file(recipe.pretrained, recipe.name)
        fit(backbone, matched_by_place(read_packaged(path, recipe.name), backbone), f"{path}", recipe)
        refuse_folded_batch_norms(backbone, f"{path}", recipe)
        return
    if recipe.pretrained != "timm":
        path = Path(recipe.pretrained).expanduser()
        fit(backbone, read(path, recipe), f"{path}", recipe)
        refuse_folded_batch_norms(backbone, f"{path}", recipe)
        return
    source = hub_source(recipe)
    path = local_path(recipe, weights_dir)
    if path.is_file():
        fit(backbone, read(path, recipe), f"{path}", recipe)
    else:
        fit(backbone, download(recipe, source, path), hub_name(source), recipe)


def refuse_folded_batch_norms(backbone: nn.Module, where: str, recipe: ImageModelRecipe) -> None:
    """Refuse to train batch norms whose statistics were folded into the convolutions.

    Normalising such a layer by its batch throws the folded scale away: the network falls silent and the loss stays at
    that of guessing, without any error.
    """
    norms = batch_norms(backbone)
    folded = [norm for norm in norms if is_folded(norm)]
    if norms and len(folded) == len(norms) and not recipe.freeze_batch_norm:
        raise TrainingError(
            f"model {recipe.name!r}: the batch norms of {where} are folded into its convolutions (every running mean "
            "is 0, every variance 1), so training them would silence the network; set freeze_batch_norm = true"
        )


def is_folded(norm: nn.Module) -> bool:
    """Statistics that change nothing beside a learned shift; a layer that was never trained has no shift either."""
    mean, variance, shift = norm.running_mean, norm.running_var, norm.bias
    if not (isinstance(mean, Tensor) and isinstance(variance, Tensor) and isinstance(shift, Tensor)):
        return False
    return bool(not mean.any() and (variance == 1).all() and shift.any())


def fetch(recipe: ImageModelRecipe, weights_dir: Path) -> Path | None:
    """Put the weights a recipe needs into a folder unless they are there; None when it needs none from the hub."""
    if recipe.pretrained.startswith(PREFIX):
        return packaged_file(recipe.pretrained, recipe.name)
    if recipe.pretrained != "timm":
        return None
    source = hub_source(recipe)
    path = local_path(recipe, weights_dir)
    if not path.is_file():
        state = {name: tensor.contiguous().clone() for name, tensor in download(recipe, source, path).items()}
        with atomic(path) as temporary:
            save_file(state, temporary)
    return path


def local_path(recipe: ImageModelRecipe, weights_dir: Path | None) -> Path:
    """Where the weights of the recipe's backbone lie in the weights folder."""
    return (weights_dir or Path("weights")) / f"{recipe.backbone}.safetensors"


def hub_source(recipe: ImageModelRecipe) -> PretrainedCfg:
    """Where timm gets its weights; refuses a backbone that has none on the model hub, or not as plain tensors."""
    known = is_model(split_model_name_tag(recipe.backbone)[0])
    source = get_pretrained_cfg(recipe.backbone) if known else None
    if source is None or not source.hf_hub_id or source.custom_load:
        raise RecipeError(
            f'model {recipe.name!r}: pretrained = "timm", but there are no weights for backbone {recipe.backbone!r} on '
            'the model hub; set pretrained = "none", or the path of a safetensors file'
        )
    return source


def hub_name(source: PretrainedCfg) -> str:
    """Name the file the weights come from."""
    return f"{source.hf_hub_filename or HUB_FILE} of hub repository {source.hf_hub_id}"


def download(recipe: ImageModelRecipe, source: PretrainedCfg, path: Path) -> State:
    """Get the weights from the model hub; without a network say which file to get and where to put it."""
    try:
        filename = source.hf_hub_filename or HUB_FILE
        state: State = load_state_dict_from_hf(str(source.hf_hub_id), filename, weights_only=True)
    except Exception as error:  # Every hub client has errors of its own; to the user they all say one thing.
        raise TrainingError(
            f"model {recipe.name!r}: the pretrained weights of {recipe.backbone!r} are not at {path} and cannot be "
            f"downloaded ({type(error).__name__}). On a machine with internet get {hub_name(source)} and put it at "
            f'{path}; or set `pretrained` of image model {recipe.name!r} to a path, or to "none" to train from scratch'
        ) from error
    return state


def read(path: Path, recipe: ImageModelRecipe) -> State:
    """Read a safetensors file."""
    where = f"model {recipe.name!r}: weights {path}"
    try:
        with spelled(path) as name:
            return load_file(name)
    except FileNotFoundError as error:
        raise TrainingError(f"{where} do not exist; correct `pretrained` or put the file there") from error
    except (SafetensorError, OSError) as error:
        raise TrainingError(
            f"{where} are not a whole safetensors file ({error}); download the file again, or convert it"
        ) from error


def fit(backbone: nn.Module, state: State, source: str, recipe: ImageModelRecipe) -> None:
    """Load weights into a backbone, after translating them; refuse whatever is missing, unknown or of another shape."""
    if own_branch(state) is not None:
        log.warning(
            "%s starts from %s, a network that was trained here: none of the lesions that it learned from may be "
            "scored now, or their labels would be",
            recipe.name,
            source,
        )
    try:
        state = without_classifier(translated(state, backbone), backbone)
    except (AttributeError, IndexError, KeyError, RuntimeError, ValueError) as error:
        raise TrainingError(f"model {recipe.name!r}: {source} is not for {recipe.backbone!r} ({error!r})") from error
    wanted = backbone.state_dict()
    # Files older than PyTorch 1.0 lack the batch counters, which nothing here uses.
    missing = [name for name in wanted if name not in state and not name.endswith("num_batches_tracked")]
    unknown = [name for name in state if name not in wanted]
    reshaped = [
        f"{name} {list(state[name].shape)} for {list(wanted[name].shape)}"
        for name in wanted
        if name in state and state[name].shape != wanted[name].shape
    ]
    kinds = {"missing": missing, "unknown": unknown, "of another shape": reshaped}
    problems = [f"{len(names)} {kind} ({listed(names)})" for kind, names in kinds.items() if names]
    if problems:
        raise TrainingError(
            f"model {recipe.name!r}: {source} does not fit {recipe.backbone!r}, which has {len(wanted)} tensors: "
            f"{'; '.join(problems)}. `pretrained` must name weights of this very backbone"
        )
    backbone.load_state_dict(state, strict=False)


def translated(state: State, backbone: nn.Module) -> State:
    """Bring a weight file into the backbone's form: our own models' prefix taken off, timm's translation applied.

    Of a fusion network of ours it is the first branch that counts.
    timm keeps one function beside each architecture that renames old keys and resizes position embeddings.
    """
    branch = own_branch(state)
    if branch is not None:
        own = {name.removeprefix(branch): tensor for name, tensor in state.items() if name.startswith(branch)}
        state = from_our_own(own, backbone)
    module = sys.modules[type(backbone).__module__]
    for name in ("checkpoint_filter_fn", "_filter_fn", "_filter_torchvision_pretrained"):
        translate = getattr(module, name, None)
        if translate is not None:
            both = len(inspect.signature(translate).parameters) > 1
            state = translate(state, backbone) if both else translate(state)
            break
    return with_resized_positions(state, backbone)


def own_branch(state: State) -> str | None:
    """Where a model of ours keeps its first backbone; None for what is no model of ours."""
    branches = ("", "images.0.")
    return next((one for one in branches if any(name.startswith(f"{one}backbone.") for name in state)), None)


def from_our_own(state: State, backbone: nn.Module) -> State:
    """Take the backbone's tensors, and the norm that the head took over from it, out of a trained model of ours."""
    own = {name.removeprefix("backbone."): tensor for name, tensor in state.items() if name.startswith("backbone.")}
    for owner in ("head.norm", "fc_norm"):
        if f"{owner}.weight" in backbone.state_dict():
            own |= {f"{owner}.{part}": state[f"norm.{part}"] for part in ("weight", "bias") if f"norm.{part}" in state}
    return own


def with_resized_positions(state: State, backbone: Any) -> State:
    """Resize a position embedding (1, tokens, channels) of another grid, where timm's translation did not."""
    embedding, wanted = state.get("pos_embed"), backbone.state_dict().get("pos_embed")
    if embedding is None or wanted is None or embedding.ndim != 3 or embedding.shape[::2] != wanted.shape[::2]:
        return state
    prefix = wanted.shape[1] - math.isqrt(wanted.shape[1]) ** 2
    side = math.isqrt(wanted.shape[1] - prefix)
    resized = resample_abs_pos_embed(embedding, [side, side], num_prefix_tokens=prefix)
    return {**state, "pos_embed": resized}


def without_classifier(state: State, backbone: Any) -> State:
    """Leave out the tensors of the classifier that the weights were trained with."""
    names = getattr(backbone, "pretrained_cfg", {}).get("classifier") or ()
    classifiers = (names,) if isinstance(names, str) else tuple(names)
    wanted = backbone.state_dict()
    return {
        name: tensor
        for name, tensor in state.items()
        if name in wanted or not name.startswith(tuple(f"{classifier}." for classifier in classifiers))
    }


def listed(names: list[str]) -> str:
    """Spell out the first few names."""
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
