"""Things by name, found where they live: one file per thing, and no second list of names.

A registry looks through the files of one package for an object of one name (`LEARNER`, `READER`, ...), and through the
installed packages that offer one under `fusionnetx.<kind>` in their entry points. `add` takes one at run time, for a
notebook. Files are imported when the first name is asked for, so a file must import heavy libraries only where it uses
them.
"""

import difflib
import pkgutil
from collections.abc import Iterator, Mapping
from importlib import import_module, metadata
from typing import Generic, Protocol, TypeVar

from data.errors import RecipeError


class Named(Protocol):
    """A thing that says what it is called."""

    @property
    def name(self) -> str:
        """Its name in recipes."""


T = TypeVar("T", bound=Named)


class Registry(Mapping[str, T], Generic[T]):
    """Every thing of a kind, by name; sorted by name, so that no order depends on the file system."""

    def __init__(self, package: str, attribute: str, kind: str) -> None:
        self.kind = kind
        """What messages call one of them: `learner`."""
        self._package, self._attribute = package, attribute
        self._added: dict[str, T] = {}
        self._found: dict[str, T] | None = None

    def add(self, thing: T) -> T:
        """Take one more, for this process; a name that is taken is refused. Usable as a decorator of an instance."""
        if thing.name in self:
            raise RecipeError(f"there is already a {self.kind} called {thing.name!r}; choose another name")
        self._added[thing.name] = thing
        return thing

    def remove(self, name: str) -> None:
        """Forget one that was added."""
        del self._added[name]

    def look_again(self) -> None:
        """Forget what was found: files have come or gone."""
        self._found = None

    def __getitem__(self, name: str) -> T:
        try:
            return self._all()[name]
        except KeyError:
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._all()))

    def __len__(self) -> int:
        return len(self._all())

    def need(self, name: str) -> T:
        """The thing of that name; RecipeError with the nearest names when there is none."""
        if name not in self:
            raise RecipeError(self.unknown(name))
        return self[name]

    def unknown(self, name: str) -> str:
        """The message about a name that is not there."""
        near = difflib.get_close_matches(name, list(self), n=1, cutoff=0.5)
        guess = f"; did you mean {near[0]!r}?" if near else ""
        return f"no {self.kind} is called {name!r}{guess}; known: {', '.join(map(repr, self))}"

    def _all(self) -> dict[str, T]:
        if self._found is None:
            self._found = dict(self._look())
        return {**self._found, **self._added}

    def _look(self) -> Iterator[tuple[str, T]]:
        package = import_module(self._package)
        for module in pkgutil.iter_modules(package.__path__):
            thing = getattr(import_module(f"{self._package}.{module.name}"), self._attribute, None)
            for one in thing if isinstance(thing, tuple) else () if thing is None else (thing,):
                yield one.name, one
        for entry in metadata.entry_points(group=f"fusionnetx.{self._package.rpartition('.')[2]}"):
            one = entry.load()
            yield one.name, one
