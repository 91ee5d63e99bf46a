"""The pipelined design as Verilog and VHDL: a plan on disk, no tool is run, two writes are byte-identical."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from zerobias.contract import Contract, TypeField
from zerobias.errors import DataError
from zerobias.rtl.names import check_name
from zerobias.rtl.pipeline import Cut, pipelined, stages_of
from zerobias.rtl.schedule import planned_cut
from zerobias.rtl.sources import Language, core_source, top_source
from zerobias.rtl.trace import Circuit
from zerobias.rtl.weights import WeightField, weight_rows
from zerobias.specs import validate
from zerobias.targets import Target

__all__ = ["PortField", "RtlDesign", "RtlEstimate", "read_design", "write_design"]

_LANGUAGES: tuple[Language, ...] = ("verilog", "vhdl")
_MANIFEST = "design.json"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PortField(_Part):
    """Where a raw integer lies in ``in_data``: ``width`` bits from bit ``low_bit`` upwards."""

    name: str
    low_bit: int
    width: int
    signed: bool


class RtlEstimate(_Part):
    """Estimated resources: LUT by alkaid's cost model, FF as declared, both before synthesis."""

    lut: int
    ff: int
    dsp: int


class RtlDesign(_Part):
    """A written design; ``latency`` counts clocks from the edge that samples an event to the one at which
    its score can be sampled, input and output registers included. ``score_shape`` is () for a score of one
    value; of several the first lies in the lowest bits of ``out_score``.

    ``weights`` are the arrays of the port ``weights``, which a design whose weights are constants lacks.
    ``verilog`` and ``vhdl`` are the source files, relative to ``folder``, in the order of compilation;
    ``name`` is the top module. ``stage_ns`` is the longest planned delay of a stage.
    """

    folder: Path = Field(exclude=True)
    name: str
    target: str
    part: str
    clock_ns: float
    stages: int
    latency: int
    stage_ns: float
    in_bits: int
    fields: tuple[PortField, ...]
    weights: tuple[WeightField, ...] = ()
    score_type: TypeField
    score_shape: tuple[int, ...] = ()
    verilog: tuple[str, ...]
    vhdl: tuple[str, ...]
    estimate: RtlEstimate
    alkaid: str
    digest: str

    @property
    def outputs(self) -> int:
        """Number of values a score has."""
        return math.prod(self.score_shape)

    @property
    def weight_bits(self) -> int:
        """Width of the port ``weights``; 0 where there is none."""
        return sum(field.bits for field in self.weights)

    def files(self, language: Language) -> tuple[Path, ...]:
        """Source files of one language, in the order of compilation."""
        return tuple(self.folder / name for name in getattr(self, language))


def write_design(
    circuit: Circuit,
    target: Target,
    folder: Path,
    *,
    name: str,
    places: Cut | None = None,
) -> RtlDesign:
    """Write a circuit as a pipeline for the target's clock to ``folder``, replacing what was there.

    ``places``: the cut into stages; by default :func:`zerobias.rtl.planned_cut`.
    Raises ``SpecError`` when ``name`` cannot name a module.
    """
    check_name(name)
    if places is None:
        places = planned_cut(circuit.logic, target)
    fsm = pipelined(circuit.logic, places, sum(field.size for field in circuit.weights))
    depth = stages_of(places)
    fields = port_fields(circuit.contract)
    values = _values(circuit, name, depth, fields)
    read, held = _taken(circuit, fields)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
        fresh = Path(scratch) / "design"
        names: dict[str, tuple[str, ...]] = {}
        state = hashlib.sha256()
        for language, suffix in zip(_LANGUAGES, ("v", "vhd"), strict=True):
            texts = {
                f"{language}/{name}_core.{suffix}": core_source(fsm, name, language),
                f"{language}/{name}.{suffix}": top_source(language, values, read, held),
            }
            for path, text in texts.items():
                (fresh / path).parent.mkdir(parents=True, exist_ok=True)
                (fresh / path).write_text(text)
                state.update(path.encode() + text.encode())
            names[language] = tuple(texts)
        design = RtlDesign(
            folder=folder,
            name=name,
            target=target.name,
            part=target.part,
            clock_ns=target.clock_ns,
            stages=depth,
            latency=depth + 1,
            stage_ns=round(max(ready for _, ready in places), 4),
            in_bits=sum(field.width for field in fields),
            fields=fields,
            weights=circuit.weights,
            score_type=circuit.score_type,
            score_shape=circuit.score_shape,
            verilog=names["verilog"],
            vhdl=names["vhdl"],
            estimate=RtlEstimate(
                lut=round(circuit.logic.cost),
                ff=sum(signal.width for signal in fsm.signals.values() if signal.reg) + depth + 1,
                dsp=0,
            ),
            alkaid=version("alkaid"),
            digest=state.hexdigest(),
        )
        (fresh / _MANIFEST).write_text(
            json.dumps(design.model_dump(mode="json", exclude_defaults=True), indent=1) + "\n"
        )
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(fresh, folder)
    return design


def read_design(folder: Path) -> RtlDesign:
    """The design that was written to ``folder``.

    Raises ``DataError`` when there is none, its manifest is damaged, or a source was changed.
    """
    try:
        data = json.loads((folder / _MANIFEST).read_text())
        design = validate({**data, "folder": folder}, RtlDesign, str(folder / _MANIFEST))
        state = hashlib.sha256()
        for path in (*design.verilog, *design.vhdl):
            state.update(path.encode() + (folder / path).read_bytes())
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"no RTL design in {folder} ({error}): write it again") from None
    if state.hexdigest() != design.digest:
        raise DataError(f"the sources in {folder} are not those its manifest names: write the design again")
    return design


def port_fields(contract: Contract) -> tuple[PortField, ...]:
    """Bits of ``in_data``: feature 0 lowest, each with its declared width and sign."""
    declared = [
        (field.width, field.signed)
        for group in contract.spec.group
        for _ in range(group.count)
        for field in group.fields
    ]
    fields, low = [], 0
    for feature, (width, signed) in zip(contract.features, declared, strict=True):
        fields.append(PortField(name=feature.name, low_bit=low, width=width, signed=signed))
        low += width
    return tuple(fields)


def _taken(circuit: Circuit, fields: tuple[PortField, ...]) -> tuple[list[str], list[str]]:
    """Slices of ``in_data`` and of ``weights`` that the core reads: what its values can need of each."""
    widths = [int(width) for width in circuit.logic.inp_kifs.sum(axis=0)]
    starts = [low for f in circuit.weights for low in range(f.low_bit, f.low_bit + f.bits, f.type.width)]
    count = len(fields)
    return _slices([f.low_bit for f in fields], widths[:count]), _slices(starts, widths[count:])


def _slices(starts: Sequence[int], widths: Sequence[int]) -> list[str]:
    """``high:low`` of the values that have a width, neighbours joined."""
    runs: list[list[int]] = []
    for low, width in zip(starts, widths, strict=True):
        if runs and runs[-1][1] == low:
            runs[-1][1] += width
        elif width:
            runs.append([low, low + width])
    return [f"{end - 1}:{low}" for low, end in runs]


def _values(circuit: Circuit, name: str, stages: int, fields: tuple[PortField, ...]) -> dict[str, str]:
    """What the templates of the top level need."""
    kind, outputs = circuit.score_type, math.prod(circuit.score_shape)
    width, parts, vhdl = _score(circuit)
    widths = circuit.logic.inp_kifs.sum(axis=0)
    rows = [
        f"{f.low_bit + f.width - 1:>5}:{f.low_bit:<5} {'signed  ' if f.signed else 'unsigned'} {f.name}"
        for f in fields
    ]
    return {
        "NAME": name,
        "STAGES": str(stages),
        "VALID_HIGH": str(stages - 1),
        "LATENCY": str(stages + 1),
        "IN_HIGH": str(sum(f.width for f in fields) - 1),
        "RAW_HIGH": str(int(widths[: len(fields)].sum()) - 1),
        "HELD_HIGH": str(int(widths[len(fields) :].sum()) - 1),
        "WEIGHTS_HIGH": str(sum(field.bits for field in circuit.weights) - 1),
        "SCORE_HIGH": str(width - 1),
        "OUT_HIGH": str(outputs * kind.width - 1),
        "SCORE_TYPE": str(kind) + f"; {outputs} of them, the first in the lowest bits" * (outputs > 1),
        "SCORE_VERILOG": f"{{{', '.join(parts)}}}",
        "SCORE_VHDL": " & ".join(vhdl),
        "FEATURES_V": "\n".join(f"// {row}" for row in rows),
        "FEATURES_VHDL": "\n".join(f"-- {row}" for row in rows),
        "WEIGHTS_V": "\n".join(f"// {row}" for row in weight_rows(circuit.weights)),
        "WEIGHTS_VHDL": "\n".join(f"-- {row}" for row in weight_rows(circuit.weights)),
    }


def _score(circuit: Circuit) -> tuple[int, list[str], list[str]]:
    """Bits of the core's result; the parts of ``out_score``, the highest first, in Verilog and in VHDL."""
    kind, outputs = circuit.score_type, math.prod(circuit.score_shape)
    types = [tuple(int(v) for v in qint.kif) for qint in circuit.logic.out_qint]
    total = sum(map(sum, types))
    verilog: list[str] = []
    vhdl: list[str] = []
    low = 0
    for position in range(outputs):
        if position in circuit.constants:
            bits = f"{circuit.constants[position] & ((1 << kind.width) - 1):0{kind.width}b}"
            verilog.insert(0, f"{kind.width}'b{bits}")
            vhdl.insert(0, f'"{bits}"')
            continue
        signed, integer, frac = types.pop(0)
        high = low + signed + integer + frac - 1
        left, right = kind.integer - signed - integer, kind.frac - frac
        taken = (
            ("score", "score")
            if high - low == total - 1
            else (f"score[{high}:{low}]", f"score({high} downto {low})")
        )
        fill = (f"score[{high}]", f"score({high})") if signed else ("1'b0", "'0'")
        verilog[:0] = [*[f"{{{left}{{{fill[0]}}}}}"] * (left > 0), taken[0], *[f"{right}'b0"] * (right > 0)]
        vhdl[:0] = [
            *[f"({left - 1} downto 0 => {fill[1]})"] * (left > 0),
            taken[1],
            *[f"({right - 1} downto 0 => '0')"] * (right > 0),
        ]
        low = high + 1
    return total, verilog, vhdl
