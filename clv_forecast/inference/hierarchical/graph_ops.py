"""Effects of groups as PyTensor operations: the compiled kernels, one forward and one for the gradient.

This module loads PyTensor: import it where a graph is built.

The likelihood of a part as one PyTensor operation: the compiled kernel, with the gradient it brings along.

A graph of a few operations compiles several times faster than the same likelihood written out in tensor expressions,
and each evaluation passes over the rows once. This module loads PyTensor: import it where a graph is built.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytensor.tensor
from pytensor.gradient import DisconnectedType, disconnected_type
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.link.numba.dispatch.basic import numba_njit, register_funcify_default_op_cache_key

from clv_forecast.inference.hierarchical.effect_kernels import effects_backward, effects_forward
from clv_forecast.models import kernel_of
from clv_forecast.models.kernels import VERSION, PurchaseTables, SpendTables


class CellLikelihood(Op):
    """Log-likelihood and its gradient: ``theta (cell, k)`` and the tables in, a scalar and ``(cell, k)`` out."""

    __props__ = ("likelihood",)

    def __init__(self, likelihood: str) -> None:
        self.likelihood = likelihood

    def make_node(self, *inputs: Any) -> Apply[Any]:
        """Accept matrices of floats."""
        theta, *tables = inputs
        arguments = [pt.as_tensor_variable(x).astype("float64") for x in (theta, *tables)]
        if len(tables) != len(_tables_of(self.likelihood)._fields) or any(x.ndim != 2 for x in arguments):
            raise TypeError(f"{self.likelihood} takes theta and its tables, all matrices.")
        return Apply(self, arguments, [pt.dscalar(), pt.dmatrix()])

    def perform(self, node: Apply[Any], inputs: Any, output_storage: Any) -> None:
        """Evaluate outside a compiled graph."""
        theta, *tables = inputs
        value, gradient = kernel_of(self.likelihood)(theta, _tables_of(self.likelihood)(*tables), True)
        output_storage[0][0] = np.asarray(value)
        output_storage[1][0] = gradient

    def infer_shape(self, node: Apply[Any], shapes: Any) -> list[Any]:
        """A scalar, and the shape of ``theta``."""
        return [(), shapes[0]]

    def connection_pattern(self, node: Apply[Any]) -> list[list[bool]]:
        """Nothing is differentiated by the data."""
        return [[True, True]] + [[False, False]] * (len(node.inputs) - 1)

    def pullback(self, inputs: Any, outputs: Any, cotangents: Any) -> list[Any]:
        """The gradient is an output; it has no derivatives itself."""
        if not isinstance(cotangents[1].type, DisconnectedType):
            raise NotImplementedError("The gradient of a likelihood has no derivatives.")
        return [cotangents[0] * outputs[1]] + [disconnected_type() for _ in inputs[1:]]


@register_funcify_default_op_cache_key(CellLikelihood)  # type: ignore[no-untyped-call]
def _compile(op: CellLikelihood, node: Any, **options: Any) -> tuple[Any, int]:
    """The same kernel inside a compiled graph."""
    kernel: Any = kernel_of(op.likelihood)

    @numba_njit
    def of_purchases(theta, steps, spans, rows):  # type: ignore[no-untyped-def]  # noqa: PLR0917 - compiled
        value, gradient = kernel(theta, PurchaseTables(steps, spans, rows), True)
        return np.asarray(value), gradient

    @numba_njit
    def of_spend(theta, counts, rows):  # type: ignore[no-untyped-def]
        value, gradient = kernel(theta, SpendTables(counts, rows), True)
        return np.asarray(value), gradient

    return (of_purchases if _tables_of(op.likelihood) is PurchaseTables else of_spend), VERSION


def _tables_of(likelihood: str) -> type[PurchaseTables] | type[SpendTables]:
    return SpendTables if likelihood.startswith("gamma_gamma") else PurchaseTables


def log_likelihood(likelihood: str, theta: Any, tables: Mapping[str, Any]) -> Any:
    """Log-likelihood of all rows, without its constant.

    Parameters
    ----------
    likelihood : str
        A transaction model, ``"gamma_gamma_orders"`` or ``"gamma_gamma_means"``.
    theta : tensor, shape (cell, k)
        Coordinates in scaled data.
    tables : mapping of str to tensor
        Those of `PartData.tables`.

    Returns
    -------
    tensor, scalar
    """
    op: Any = CellLikelihood(likelihood)
    return op(theta, *(tables[name] for name in _tables_of(likelihood)._fields))[0]


pt: Any = pytensor.tensor


class GroupEffects(Op):
    """``raw (level, k), log_sd (k,), partials (pair,), weight (level, k), anchor (k,)`` to effects, density, matrix."""

    __props__ = ()

    def make_node(self, *inputs: Any) -> Apply[Any]:
        """Accept arrays of floats."""
        arguments = [pt.as_tensor_variable(x).astype("float64") for x in inputs]
        if [x.ndim for x in arguments] != [2, 1, 1, 2, 1]:
            raise TypeError("Effects take raw, log_sd, partials, weight and anchor.")
        return Apply(self, arguments, [pt.dmatrix(), pt.dscalar(), pt.dmatrix()])

    def perform(self, node: Apply[Any], inputs: Any, output_storage: Any) -> None:
        """Evaluate outside a compiled graph."""
        effect, value, correlation = effects_forward(*inputs)
        output_storage[0][0], output_storage[1][0], output_storage[2][0] = effect, np.asarray(value), correlation

    def infer_shape(self, node: Apply[Any], shapes: Any) -> list[Any]:
        """The shape of ``raw``, a scalar, and a square."""
        return [shapes[0], (), (shapes[1][0], shapes[1][0])]

    def connection_pattern(self, node: Apply[Any]) -> list[list[bool]]:
        """The weight is data; the matrix is for the eye."""
        return [[True, True, False] if place != 3 else [False] * 3 for place in range(5)]

    def pullback(self, inputs: Any, outputs: Any, cotangents: Any) -> list[Any]:
        """Through the backward kernel."""
        by_effect, by_value, _ = cotangents
        if isinstance(by_effect.type, DisconnectedType):
            by_effect = pt.zeros_like(inputs[0])
        if isinstance(by_value.type, DisconnectedType):
            by_value = pt.zeros((), dtype="float64")
        backward: Any = _GroupEffectsGradient()
        by_raw, by_log_sd, by_partials, by_anchor = backward(*inputs, by_effect, by_value)
        return [by_raw, by_log_sd, by_partials, disconnected_type(), by_anchor]


class _GroupEffectsGradient(Op):
    __props__ = ()

    def make_node(self, *inputs: Any) -> Apply[Any]:
        arguments = [pt.as_tensor_variable(x).astype("float64") for x in inputs]
        return Apply(self, arguments, [pt.dmatrix(), pt.dvector(), pt.dvector(), pt.dvector()])

    def perform(self, node: Apply[Any], inputs: Any, output_storage: Any) -> None:
        for storage, result in zip(output_storage, effects_backward(*inputs[:6], float(inputs[6])), strict=True):
            storage[0] = result

    def infer_shape(self, node: Apply[Any], shapes: Any) -> list[Any]:
        return [shapes[0], shapes[1], shapes[2], shapes[4]]


@register_funcify_default_op_cache_key(GroupEffects)  # type: ignore[no-untyped-call]
def _compile_forward(op: Any, node: Any, **options: Any) -> tuple[Any, int]:
    @numba_njit
    def group_effects(raw, log_sd, partials, weight, anchor):  # type: ignore[no-untyped-def]  # noqa: PLR0917 - compiled
        effect, value, correlation = effects_forward(raw, log_sd, partials, weight, anchor)
        return effect, np.asarray(value), correlation

    return group_effects, VERSION


@register_funcify_default_op_cache_key(_GroupEffectsGradient)  # type: ignore[no-untyped-call]
def _compile_backward(op: Any, node: Any, **options: Any) -> tuple[Any, int]:
    @numba_njit
    def group_effects_gradient(raw, log_sd, partials, weight, anchor, by_effect, by_value):  # type: ignore[no-untyped-def]  # noqa: PLR0917 - compiled
        return effects_backward(raw, log_sd, partials, weight, anchor, by_effect, by_value.item())

    return group_effects_gradient, VERSION
