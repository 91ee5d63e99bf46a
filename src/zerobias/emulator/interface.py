"""What a library promises its users: its name, namespace and the types of inputs and results."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zerobias.contract import FixedType
from zerobias.errors import SpecError
from zerobias.fixed import Cast, Graph
from zerobias.hls import namespace
from zerobias.trees import TreeEnsemble

if TYPE_CHECKING:
    import keras

    from zerobias.zoo import Model

__all__ = ["Interface", "interface_of"]


@dataclass(frozen=True)
class Interface:
    """``library``: file name without ``.so``. ``latent``: name of the graph's node that the pair's first
    member holds, an empty string where the result is the score alone; its type is then the score's."""

    library: str
    namespace: str
    features: int
    scores: int
    raw_type: FixedType
    score_type: FixedType
    latent: str
    latents: int
    latent_type: FixedType

    @property
    def result_type(self) -> str:
        """C++ type that ``read_result`` takes a pointer to: the score, or a pair of latent values and score.

        A member of one value is that value, one of several a ``std::array``: the types CMSSW casts to.
        """
        if not self.latent:
            return str(self.score_type)
        members = (self.latent_type, self.latents), (self.score_type, self.scores)
        texts = [str(kind) if size == 1 else f"std::array<{kind},{size}>" for kind, size in members]
        return f"std::pair<{','.join(texts)}>"


def interface_of(model: Model, network: keras.Model | TreeEnsemble, graph: Graph) -> Interface:
    """Interface of the library of ``model``, whose quantised network and fixed-point graph are given.

    Raises ``SpecError`` when ``[emulator]`` of model.toml names a layer that does not exist or has no
    declared type, or a score type that does not hold the score bit for bit.
    """
    wanted, kind = model.spec.emulator, graph.output_type
    score = wanted.score_type or kind
    if (score.width, score.integer, score.signed) != (kind.width, kind.integer, kind.signed):
        raise SpecError(
            f"model {model.name}: emulator.score_type {score} does not hold the score {kind} bit for bit: "
            "give the same width, integer bits and sign"
        )
    latent, latents, latent_type = "", 0, score
    if wanted.latent:
        if isinstance(network, TreeEnsemble):
            raise SpecError(
                f"model {model.name}: emulator.latent {wanted.latent!r}: trees have no layers, leave it out"
            )
        typed = _typed_layers(network, graph)
        if wanted.latent not in typed:
            raise SpecError(
                f"model {model.name}: emulator.latent {wanted.latent!r} is not a layer with a declared type: "
                f"give one of {', '.join(typed)}"
            )
        latent, latent_type = typed[wanted.latent]
        latents = math.prod(network.get_layer(wanted.latent).output.shape[1:])
    name = wanted.name or model.name
    return Interface(
        library=f"{name}_v{model.spec.version.replace('.', 'p')}",
        namespace=namespace(model.name, model.spec.version),
        features=len(model.contract.features),
        scores=math.prod(graph.score_shape),
        raw_type=model.contract.raw_type,
        score_type=score,
        latent=latent,
        latents=latents,
        latent_type=latent_type,
    )


def _typed_layers(network: keras.Model, graph: Graph) -> dict[str, tuple[str, FixedType]]:
    """Layers before the last whose values are those of a cast in the graph: the cast's node and type."""
    casts = {node.name: node.op.kind for node in graph if isinstance(node.op, Cast)}
    found = {}
    for layer in network.layers[:-1]:
        for node in (f"{layer.name}_act", layer.name):  # a layer's own activation is a node of its own
            if node in casts:
                found[layer.name] = node, casts[node]
                break
    return found
