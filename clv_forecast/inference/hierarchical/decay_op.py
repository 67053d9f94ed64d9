"""The Pareto/NBD integral as a PyTensor operation: the compiled kernel of the NumPy likelihood, with its gradient.

This module loads PyTensor: import it where a graph is built.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytensor.tensor
from pytensor.gradient import DisconnectedType
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.link.numba.dispatch.basic import numba_njit, register_funcify_default_op_cache_key

from clv_forecast.models.decay import _moments, decay_integral_moments

pt: Any = pytensor.tensor
_KERNEL_VERSION = 1  # part of the key of PyTensor's cache: raise it when `_moments` changes


class _DecayMoments(Op):
    """``ln J`` and the four means under its integrand; see `decay_integral_moments`. Five vectors in, five out."""

    __props__ = ()

    def make_node(self, *inputs: Any) -> Apply[Any]:
        """Accept five vectors of floats."""
        arguments = [pt.as_tensor_variable(x).astype("float64") for x in inputs]
        if len(arguments) != 5 or any(x.ndim != 1 for x in arguments):
            raise TypeError("The decay integral takes five vectors.")
        return Apply(self, arguments, [pt.dvector() for _ in range(5)])

    def perform(self, node: Apply[Any], inputs: Any, output_storage: Any) -> None:
        """Evaluate in NumPy."""
        value, means = decay_integral_moments(*inputs)
        for storage, result in zip(output_storage, (value, *means), strict=True):
            storage[0] = np.ascontiguousarray(result)

    def infer_shape(self, node: Apply[Any], shapes: Any) -> list[Any]:
        """Every output is as long as the inputs."""
        return [shapes[0]] * 5

    def pullback(self, inputs: Any, outputs: Any, cotangents: Any) -> list[Any]:
        """Differentiate the first output under the integral; the means have no derivatives."""
        if any(not isinstance(cotangent.type, DisconnectedType) for cotangent in cotangents[1:]):
            raise NotImplementedError("The means of the decay integral have no derivatives.")
        k_a, a, k_b, b, _ = inputs
        _, log_a, over_a, log_b, over_b = outputs
        g = cotangents[0]
        return [
            -g * log_a,
            g * k_a * (1.0 / a - over_a),
            -g * log_b,
            g * k_b * (1.0 / b - over_b),
            pt.zeros_like(g),
        ]


_decay_moments: Any = _DecayMoments()


def log_decay_integral(k_a: Any, a: Any, k_b: Any, b: Any, length: Any) -> Any:
    """``ln J`` of `clv_forecast.models.decay.log_decay_integral` for vectors, without discount, length held fixed."""
    return _decay_moments(k_a, a, k_b, b, length)[0]


@register_funcify_default_op_cache_key(_DecayMoments)  # type: ignore[no-untyped-call]
def _compile_decay_moments(op: Any, node: Any, **options: Any) -> tuple[Any, int]:
    """The same kernel inside a compiled graph."""

    @numba_njit
    def decay_moments(k_a, a, k_b, b, length):  # type: ignore[no-untyped-def]
        out = np.empty((5, k_a.size))
        for i in range(k_a.size):
            _moments(k_a[i], a[i], k_b[i], b[i], length[i], out[:, i])
        return out[0], out[1], out[2], out[3], out[4]

    return decay_moments, _KERNEL_VERSION
