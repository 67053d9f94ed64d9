"""A stack: several models whose draws are mixed in given proportions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from clv_forecast.arguments import finite_number, instance_of
from clv_forecast.errors import DomainError
from clv_forecast.inference.model import Model


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Stack:
    """Several models and the weight of each; a forecast takes it like a model. Made by `stack`.

    Parameters
    ----------
    models : tuple of Model
    weights : tuple of float
        Adding up to one.
    """

    models: tuple[Model, ...]
    weights: tuple[float, ...]

    def __repr__(self) -> str:
        parts = (f"{weight:.0%} {model.purchases}" for model, weight in zip(self.models, self.weights, strict=True))
        return f"<Stack of {', '.join(parts)}>"


def stack(models: Sequence[Model], weights: Sequence[float] | Mapping[str, float]) -> Stack:
    """Mix models: of every hundred draws, each model gives as many as its weight says.

    The mixture's mean is the weighted mean of the models' means, and its bands hold what the models disagree on.
    Weights come from a comparison by time holdout; see ``compare_models``.

    Parameters
    ----------
    models : sequence of Model
        In one unit and currency, all with a spend part or all without, fitted on the same history.
    weights : sequence of float, or mapping
        One per model in their order (of a mapping, such as a comparison's, the values), none negative; scaled to add
        up to one. A model of weight 0 is left out.

    Returns
    -------
    Stack

    Raises
    ------
    DomainError
        If the models do not go together, or a weight is negative, missing, or all are 0.

    Examples
    --------
    >>> import clv_forecast as clv
    >>> history = clv.purchase_history(clv.load_cdnow("1/10"), as_of="1997-09-30")
    >>> models = [clv.fit(history, name, compare=False) for name in ("bg_nbd", "mbg_nbd")]
    >>> clv.stack(models, [1.0, 3.0])
    <Stack of 25% bg_nbd, 75% mbg_nbd>
    """
    if isinstance(models, Model) or not isinstance(models, Sequence) or not models:
        raise DomainError("A stack takes a list of models.", value=repr(models))
    for model in models:
        instance_of(model, Model, "model", made_by="fit")
    if isinstance(weights, Mapping):
        weights = list(weights.values())
    if not isinstance(weights, Sequence | np.ndarray):
        raise DomainError("A stack takes one weight per model.", value=repr(weights))
    shares = np.array([finite_number(weight, "weight") for weight in weights])
    if len(shares) != len(models):
        raise DomainError("A stack takes one weight per model.", value=f"{len(shares)} for {len(models)} models")
    if (shares < 0.0).any() or shares.sum() <= 0.0:
        raise DomainError("Weights of a stack are not negative, and not all 0.", value=shares.tolist())
    for name in ("unit", "currency", "as_of"):
        found = {getattr(model, name) for model in models}
        if len(found) > 1:
            raise DomainError(f"The models of a stack share their {name}.", value=sorted(map(str, found)))
    if len({model.spend is None for model in models}) > 1:
        raise DomainError("Of the models of a stack either all have a spend part, or none.")
    kept = shares > 0.0
    return Stack(
        models=tuple(model for model, keep in zip(models, kept, strict=True) if keep),
        weights=tuple((shares[kept] / shares.sum()).tolist()),
    )


def draws_of_models(model: Model | Stack, draws: int) -> list[tuple[Model, int]]:
    """Share ``draws`` out among the models of a stack; the rounding never errs by more than one draw.

    Examples
    --------
    >>> import clv_forecast as clv
    >>> history = clv.purchase_history(clv.load_cdnow("1/10"), as_of="1997-09-30")
    >>> models = [clv.fit(history, name, compare=False) for name in ("bg_nbd", "mbg_nbd")]
    >>> [count for _, count in draws_of_models(clv.stack(models, [1, 2]), 1000)]
    [333, 667]
    """
    if isinstance(model, Model):
        return [(model, draws)]
    ends = np.rint(np.concatenate([[0.0], np.cumsum(model.weights)]) * draws).astype(int)
    counts = [int(high - low) for low, high in pairwise(ends)]
    return [(member, count) for member, count in zip(model.models, counts, strict=True) if count > 0]
