"""The models shelf: a folder with a ``model.toml`` and a ``model.py`` is a model; no registration.

``name`` is the working model, ``name@X.Y.Z`` its release of that version: ``releases/X.Y.Z`` in the working
model's folder, a model folder that does not change.
"""

from __future__ import annotations

import importlib.util
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from zerobias.contract import Contract, ContractSpec
from zerobias.errors import SpecError, ZerobiasError
from zerobias.files import document_digest
from zerobias.shelves import shelf
from zerobias.specs import load_toml
from zerobias.targets import Target, load_target
from zerobias.trees import TreeEnsemble
from zerobias.zoo.spec import ModelSpec
from zerobias.zoo.weights import apply_weights, digest, read_weights

if TYPE_CHECKING:
    import keras

__all__ = ["Model", "find_model", "model_names", "released_versions", "with_contract"]

_RELEASES = "releases"
_VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+")


@dataclass(frozen=True)
class Model:
    """A model folder: its validated spec and where its parts lie; ``board``: another target than its own."""

    folder: Path
    spec: ModelSpec
    board: Target | None = None

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.spec.name

    @property
    def released(self) -> bool:
        """Whether this is a release."""
        parent, name = self.folder.parent.name, self.folder.name
        return parent == _RELEASES and _VERSION.fullmatch(name) is not None

    @property
    def label(self) -> str:
        """What commands call it: ``name``, or ``name@X.Y.Z`` for a release."""
        return f"{self.name}@{self.spec.version}" if self.released else self.name

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 of what the scores are made with: of the quantised ``weights`` and of the ``contract``.

        Raises ``DataError`` when the weights are missing or damaged.
        """
        return {
            "weights": digest(read_weights(self.weights_path("quantised"))),
            "contract": document_digest(self.spec.contract.model_dump(mode="json")),
        }

    @property
    def releases(self) -> Path:
        """Folder of the working model's releases, whether there are any or not."""
        return self.folder / _RELEASES

    def working(self) -> Model:
        """This model, if it may be changed; ``SpecError`` for a release."""
        if self.released:
            raise SpecError(
                f"{self.label} is a release, which never changes: name the working model, {self.name}"
            )
        return self

    @cached_property
    def contract(self) -> Contract:
        """The input contract."""
        return Contract(self.spec.contract)

    @cached_property
    def target(self) -> Target:
        """The target with the model's own tighter ceilings, or ``board`` as it is.

        A model's ceilings are its share of its own board, so they say nothing about another one.
        """
        if self.board is not None:
            return self.board
        return load_target(self.spec.target.name).tightened(self.spec.target.ceilings)

    @property
    def build_name(self) -> str:
        """Name of the model's build folder; one a target, so that builds do not overwrite each other."""
        return self.label if self.board is None else f"{self.label}@{self.board.name}"

    def on(self, target: str) -> Model:
        """This model on the target called ``target``; on its own target it stays as it is.

        Raises ``SpecError`` for an unknown target, listing the known ones.
        """
        board = load_target(target)
        return replace(self, board=None if target == self.spec.target.name else board)

    @cached_property
    def module(self) -> ModuleType:
        """The folder's ``model.py``, which defines ``build`` and ``train``.

        Raises ``SpecError`` when the file or one of the two functions is missing.
        """
        return self._loaded("model", "build", "train")

    def _loaded(self, stem: str, *functions: str) -> ModuleType:
        path = self.folder / f"{stem}.py"
        name = f"zerobias_{stem}_{self.label}"
        found = importlib.util.spec_from_file_location(name, path)
        if not path.is_file() or found is None or found.loader is None:
            raise SpecError(f"model {self.name}: {path} is missing; it defines {' and '.join(functions)}")
        module = importlib.util.module_from_spec(found)
        sys.modules[name] = module
        loader = found.loader
        self._own_code(lambda: loader.exec_module(module), stem)
        for function in functions:
            if not callable(getattr(module, function, None)):
                raise SpecError(f"model {self.name}: {path.name} does not define {function}()")
        return module

    def build(self, *, quantised: bool = True) -> keras.Model | TreeEnsemble:
        """Keras model or tree ensemble as ``model.py`` builds it, network input -> score.

        Raises ``SpecError`` naming the line of ``model.py`` that fails.
        """
        network: keras.Model | TreeEnsemble = self._own_code(
            lambda: self.module.build(self.spec, quantised=quantised)
        )
        return network

    def train(self, data: Any) -> Any:
        """Result of the recipe in ``model.py``; ``SpecError`` as in ``build``."""
        return self._own_code(lambda: self.module.train(self.spec, data))

    @property
    def studies(self) -> tuple[str, ...]:
        """Names of the folder's studies: its Python files beside ``model.py``."""
        return tuple(sorted({path.stem for path in self.folder.glob("*.py")} - {"model"}))

    def study(self, name: str, data: Any, events: Any) -> list[dict[str, Any]]:
        """Rows of the study ``name``, one of ``studies``; ``SpecError`` as in ``build``."""
        module = self._loaded(name, "study")
        rows: list[dict[str, Any]] = self._own_code(lambda: module.study(self, data, events), name)
        return rows

    def _own_code(self, run: Callable[[], Any], stem: str = "model") -> Any:
        """Result of code of the folder, whose faults become a ``SpecError`` with the line."""
        path = self.folder / f"{stem}.py"
        try:
            return run()
        except ZerobiasError:
            raise
        except Exception as error:
            lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
            line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
            text = f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise SpecError(f"model {self.name}: {path}, line {line}: {text}; mend {path.name}") from error

    def weights_path(self, kind: str) -> Path:
        """File of the model's weights: ``kind`` is ``"quantised"`` or ``"float"``."""
        return self.folder / "weights" / f"{kind}.npz"

    def load(self, *, quantised: bool = True) -> keras.Model | TreeEnsemble:
        """Keras model or tree ensemble, network input -> score, with the working model's weights."""
        network = self.build(quantised=quantised)
        return apply_weights(network, read_weights(self.weights_path("quantised" if quantised else "float")))


def with_contract(model: Model, path: Path) -> tuple[Model, str]:
    """``model`` with the contract of the TOML file ``path`` (its ``[contract]`` table), and the text of
    the ``model.toml`` that says so.

    Raises ``SpecError`` when ``path`` holds anything but a valid contract.
    """
    contract = load_toml(path, _ContractFile).contract
    Contract(contract)
    own = (model.folder / "model.toml").read_text()
    head, found, _ = own.partition("\n[contract]\n")
    if not found:
        raise SpecError(f"{model.folder / 'model.toml'} has no line [contract], the last table: add it")
    text = path.read_text()
    return (
        replace(model, spec=model.spec.model_copy(update={"contract": contract})),
        f"{head}\n{text[text.index('[contract]') :]}",
    )


class _ContractFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    contract: ContractSpec


def _folders(root: Path | None) -> Mapping[str, Path]:
    """Model folders by name; a user's own folder ``root`` comes before the shelf."""
    roots = [shelf("models")] + ([root] if root is not None else [])
    return {
        path.parent.name: path.parent for base in roots for path in sorted(Path(base).glob("*/model.toml"))
    }


def model_names(root: Path | None = None) -> tuple[str, ...]:
    """Names of the models on the shelf and, if given, in the folder ``root``."""
    return tuple(sorted(_folders(root)))


def find_model(name: str, root: Path | None = None) -> Model:
    """The model called ``name``, or the release called ``name@X.Y.Z``.

    Raises ``SpecError`` for an unknown name or version (listing the known ones) or a broken ``model.toml``.
    """
    folders = _folders(root)
    name, at, version = name.partition("@")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name not in folders:
        known = ", ".join(sorted(folders)) or "none"
        raise SpecError(f"no model named {name!r}: known are {known}")
    folder = folders[name]
    if at:
        known = ", ".join(released_versions(folder)) or "none"
        if version not in released_versions(folder):
            raise SpecError(f"model {name} has no release {version!r}: released are {known}")
        folder = folder / _RELEASES / version
    spec = load_toml(folder / "model.toml", ModelSpec)
    if spec.name != name:
        raise SpecError(f"{folder / 'model.toml'}: name {spec.name!r} differs from its folder {name!r}")
    if at and spec.version != version:
        raise SpecError(f"{folder / 'model.toml'}: version {spec.version} differs from its folder {version}")
    return Model(folder, spec)


def released_versions(folder: Path) -> tuple[str, ...]:
    """Versions of the releases in the model folder ``folder``, from the lowest."""
    found = [path.parent.name for path in folder.glob(f"{_RELEASES}/*/model.toml")]
    return tuple(sorted(filter(_VERSION.fullmatch, found), key=lambda v: [int(n) for n in v.split(".")]))
