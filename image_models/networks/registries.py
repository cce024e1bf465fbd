"""Fusions and networks of our own by name: each is a file, and the file's name is what recipes call it.

A recipe is checked by these names before torch is imported, which takes seconds: a file is opened only when what it
holds is built.
"""

import pkgutil
from collections.abc import Iterator
from functools import cached_property
from importlib import import_module, metadata
from typing import Any

from data.registry import Registry


class FileRegistry(Registry[Any]):
    """A registry whose names are those of its files, of the entry points and of what was added; all else as there."""

    def look_again(self) -> None:
        """Forget what was found, names included."""
        super().look_again()
        vars(self).pop("_lying_there", None)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._names()))

    def __len__(self) -> int:
        return len(self._names())

    def __contains__(self, name: object) -> bool:
        return name in self._names()

    def _names(self) -> set[str]:
        return self._lying_there | self._added.keys()

    @cached_property
    def _lying_there(self) -> set[str]:
        """Names of the files and of the entry points."""
        files = {module.name for module in pkgutil.iter_modules(import_module(self._package).__path__)}
        offered = metadata.entry_points(group=f"fusionnetx.{self._package.rpartition('.')[2]}")
        return files | {entry.name for entry in offered}


FUSIONS = FileRegistry("image_models.networks.fusions", "FUSION", "fusion")
"""Subclasses of `networks.fusion.Fusion`, and heads with the same `name`, `places` and `head`."""

NETWORKS = FileRegistry("image_models.networks.own", "NETWORK", "network")
"""Backbones: modules with `name`, `num_features`, `forward_features(images)` and perhaps `group_matcher()`; with layers
behind the pooling also `head_layers`, `head_hidden_size` and `forward_head(features, pre_logits)`."""
