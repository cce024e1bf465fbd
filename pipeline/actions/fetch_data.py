"""Fetch a published data set into a folder that its reader reads as it is."""

from pathlib import Path

from data.download.addresses import EDITIONS
from data.download.archive import Collection, CollectionFetching
from data.download.dataset import Fetching
from data.download.ham10000 import COLLECTIONS
from data.download.part import Part
from data.errors import DataError
from data.tables.near import did_you_mean
from pipeline.actions.outputs import refuse_folder
from pipeline.display import Display


def fetch_data(name: str, display: Display, *, permissive: bool, part: str | None, out: Path | None) -> None:
    """Fetch what is missing of a data set, and say where it is and what may be done with it."""
    known = {**EDITIONS, **COLLECTIONS}
    if name not in known:
        hint = did_you_mean(name, known, 0.5)
        raise DataError(f"no data set that can be fetched is called {name!r}{hint}; known: {', '.join(known)}")
    if name in COLLECTIONS:
        if permissive or part is not None:
            raise DataError(f"{name} is fetched whole: leave --permissive and --part out")
        fetch_collection(COLLECTIONS[name], name, display, out)
        return
    edition = EDITIONS[name][permissive]
    chosen = None if part is None else Part.parse(part)
    folder = out or Path(edition.folder if chosen is None else f"{edition.folder}-{chosen.number}-of-{chosen.count}")
    refuse_folder(folder)
    with display.task(f"fetching {edition.title} (MB)") as progress:
        fetched = Fetching(edition, folder, chosen).run(progress)
    what = f"fetched {', '.join(fetched)}" if fetched else "every file is there and whole"
    display.say(f"{folder}: {what}")
    display.say(f"{edition.title}: {edition.licence}, from {edition.page}")
    display.say(f"next: fusionnetx check --recipe fusionnetx --data {folder}")


def fetch_collection(collection: Collection, name: str, display: Display, out: Path | None) -> None:
    """The same for a collection of the ISIC archive."""
    folder = out or Path(collection.folder)
    refuse_folder(folder)
    with display.task(f"fetching {collection.title} (images)") as progress:
        fetched = CollectionFetching(collection, folder).run(progress)
    display.say(f"{folder}: " + (f"fetched {', '.join(fetched)}" if fetched else "every file is there"))
    display.say(f"{collection.title}: {collection.licence}, from collection {collection.number} of the ISIC archive")
    display.say(f"next: fusionnetx check --recipe {name} --data {folder}")
