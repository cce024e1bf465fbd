"""Every feature family by name, in the order of their columns in the table.

A family is found where it is written: any module of this package may hold some (`features.families.family`). One from
outside is added with `FAMILIES.add`, or offered by an installed package under `fusionnetx.families`.
"""

import pkgutil
from collections.abc import Iterator
from importlib import import_module

from data.registry import Registry
from features.families.family import Family


class Families(Registry[Family]):
    """The registry of families: several to a module, and in their own order, which decides that of the columns."""

    def __iter__(self) -> Iterator[str]:
        found = self._all()
        return iter(sorted(found, key=lambda name: (found[name].place, name)))

    def _look(self) -> Iterator[tuple[str, Family]]:
        for module in pkgutil.iter_modules(import_module(self._package).__path__):
            for thing in vars(import_module(f"{self._package}.{module.name}")).values():
                if isinstance(thing, Family):
                    yield thing.name, thing
        yield from super()._look()


FAMILIES = Families("features.families", "FAMILY", "feature family")


def patient_families() -> tuple[str, ...]:
    """Families whose values depend on the patient's other lesions, and on nobody else's."""
    return tuple(name for name, family in FAMILIES.items() if family.looks_at == "patient")
