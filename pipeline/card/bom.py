"""The packages of this environment as a CycloneDX bill of materials."""

import re
import uuid
from importlib.metadata import Distribution, distributions
from typing import Any

from data.files import fingerprint


def bill_of_materials(run: str, fingerprint_of_run: str) -> dict[str, Any]:
    """Every installed distribution, in CycloneDX 1.6; the same environment and run give the same bytes."""
    found = {}
    for one in distributions():
        name = one.metadata["Name"]
        if name:
            plain = re.sub(r"[-_.]+", "-", name).lower()
            found[plain] = component(plain, one.version, licence_of(one))
    components = [found[name] for name in sorted(found)]
    serial = uuid.uuid5(uuid.NAMESPACE_URL, fingerprint([components, run, fingerprint_of_run]))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {"component": {"type": "machine-learning-model", "bom-ref": "run", "name": run}},
        "components": components,
    }


def licence_of(one: Distribution) -> str | None:
    """As an expression of SPDX, where the package gives it as one."""
    return next(iter(one.metadata.get_all("License-Expression") or ()), None)


def component(name: str, version: str, licence: str | None) -> dict[str, Any]:
    """One package."""
    reference = f"pkg:pypi/{name}@{version}"
    found: dict[str, Any] = {"type": "library", "bom-ref": reference, "name": name, "version": version,
                             "purl": reference}  # fmt: skip
    return {**found, "licenses": [{"expression": licence}]} if licence else found
