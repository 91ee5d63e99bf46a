"""The search: train the points of a model's search space and weigh each by its AUC and its hardware."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from zerobias.contract import IntArray
from zerobias.errors import DataError, InputError, ToolError
from zerobias.fixed import Graph, graph_of, shaped
from zerobias.physics import Sample, auc
from zerobias.rtl import trace
from zerobias.search.space import checked, suggested, with_values
from zerobias.train import Trained, TrainingData
from zerobias.zoo import Model, collect_weights, digest

if TYPE_CHECKING:
    from zerobias.events import EventSet

__all__ = ["Figures", "Pareto", "Point", "front", "search"]

_log = logging.getLogger(__name__)


class Figures(BaseModel):
    """What a network is worth and what it costs.

    ``auc``: mean over the signals of the tuning split, of the integer scores. ``lut`` and ``ns``: of the
    ``rtl`` design's circuit before it is cut into clocks, by alkaid's model of each operation: estimates.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    auc: float
    lut: float
    ns: float


class Point(BaseModel):
    """A trained network: number in the study, values by place, weights' digest and figures."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    number: int
    values: dict[str, Any]
    seed: int
    digest: str
    figures: Figures


class Pareto(BaseModel):
    """All points of a study, numbers of those that no other beats in everything, and the working model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    version: str
    sample: str
    points: tuple[Point, ...]
    front: tuple[int, ...]
    chosen: Figures


@dataclass(frozen=True)
class _Tuning:
    """Raw events of the tuning split, behind no network yet."""

    background: IntArray
    weight: NDArray[np.float64]
    signals: Mapping[str, IntArray]


def search(
    model: Model,
    events: EventSet,
    data: TrainingData,
    *,
    storage: Path,
    study: str,
    trials: int,
    sample: str,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Pareto:
    """Train until the study in the file ``storage`` holds ``trials`` points; those it has are kept.

    ``study`` names what the points depend on beside their values: another name is another study. The seeds of
    the sampler and of each training follow from the model's. ``progress`` gets (points done, ``trials``).

    Raises ``SpecError`` without a valid search space, ``ToolError`` without optuna, ``DataError`` without
    tuning signals or for a damaged file.
    """
    checked(model.spec)
    optuna = _optuna()
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    tuning = _tuning(model, events)
    chosen = _measured(model, graph_of(model.load(), model.contract), tuning)
    storage.parent.mkdir(parents=True, exist_ok=True)
    try:
        kept = optuna.create_study(
            study_name=study,
            storage=optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(storage))),
            directions=["maximize", "minimize", "minimize"],
            load_if_exists=True,
        )
        finished = len(_complete(optuna, kept))
    except (ValueError, KeyError) as error:
        raise DataError(f"study {storage} cannot be read ({error}): remove it and search again") from error
    progress(finished, trials)
    while finished < trials:
        # Seeded by what is done, so that a stopped search goes on as one that was not.
        kept.sampler = optuna.samplers.TPESampler(seed=1000 * model.spec.seed + finished)
        trial = kept.ask()
        values = suggested(model.spec, trial)
        candidate = replace(model, spec=with_values(model.spec, values))
        try:
            weights, figures = _trained(candidate, data, tuning)
        except InputError as error:
            kept.tell(trial, state=optuna.trial.TrialState.FAIL)
            raise type(error)(f"trial {trial.number} with {values}: {error}") from error
        for key, value in {"values": values, "seed": candidate.spec.seed, "digest": weights}.items():
            trial.set_user_attr(key, value)
        kept.tell(trial, [figures.auc, figures.lut, figures.ns])
        finished += 1
        _log.info("point %d: AUC %.4f, %.0f LUT, %.1f ns", trial.number, *figures.model_dump().values())
        progress(finished, trials)
    points = tuple(_point(trial) for trial in _complete(optuna, kept))
    return Pareto(
        model=model.name,
        version=model.spec.version,
        sample=sample,
        points=points,
        front=tuple(front(points)),
        chosen=chosen,
    )


def front(points: tuple[Point, ...]) -> list[int]:
    """Numbers of the points that no other point equals or beats in AUC, LUT and ns at once."""

    def beats(a: Figures, b: Figures) -> bool:
        return a != b and a.auc >= b.auc and a.lut <= b.lut and a.ns <= b.ns

    return [p.number for p in points if not any(beats(q.figures, p.figures) for q in points)]


def _measured(model: Model, graph: Graph, tuning: _Tuning) -> Figures:
    """Figures of a network's fixed-point graph."""
    circuit = trace(model.contract, graph).logic
    return Figures(auc=_auc(model, graph, tuning), lut=circuit.cost, ns=max(circuit.latency))


def _auc(model: Model, graph: Graph, tuning: _Tuning) -> float:
    """Mean AUC over the tuning signals, of the exact integer scores."""

    def scores(raw: IntArray) -> IntArray:
        return graph.evaluate(shaped(model.contract, graph, raw))

    background = Sample(scores(tuning.background), tuning.weight)
    each = [auc(Sample(scores(raw), np.ones(len(raw))), background) for raw in tuning.signals.values()]
    return float(np.mean(each))


def _trained(model: Model, data: TrainingData, tuning: _Tuning) -> tuple[str, Figures]:
    """Weights' digest and figures of a model trained from its seed."""
    import keras

    keras.utils.set_random_seed(model.spec.seed)
    trained: Trained = model.train(data)
    graph = graph_of(trained.quantised, model.contract)
    return digest(collect_weights(trained.quantised)), _measured(model, graph, tuning)


def _tuning(model: Model, events: EventSet) -> _Tuning:
    name = model.spec.contract.collection

    def raw(process: str) -> IntArray:
        return model.contract.flatten(events.of(process, "tuning").collections[name])

    signals = {signal: raw(signal) for signal in events.signals if len(events.of(signal, "tuning"))}
    if not signals:
        raise DataError("the sample has no signals in its tuning split: search with one that has")
    weight = events.of("zero_bias", "tuning").weight.astype(np.float64)
    return _Tuning(raw("zero_bias"), weight, signals)


def _optuna() -> Any:
    try:
        import optuna
        import optuna.storages.journal
    except ImportError as error:
        raise ToolError("optuna is missing: install the extra `search`") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _complete(optuna: Any, study: Any) -> list[Any]:
    done: list[Any] = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    return done


def _point(trial: Any) -> Point:
    auc_value, lut, ns = trial.values
    return Point(number=trial.number, figures=Figures(auc=auc_value, lut=lut, ns=ns), **trial.user_attrs)
