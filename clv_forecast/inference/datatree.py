"""A model as an xarray DataTree, for ArviZ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clv_forecast.inference.draws import LAPLACE, POSTERIOR

if TYPE_CHECKING:
    import xarray as xr

    from clv_forecast.inference.model import Model


def model_datatree(model: Model) -> xr.DataTree:
    """Draws, scales and facts of a model in the layout ArviZ reads.

    Parameters
    ----------
    model : Model

    Returns
    -------
    DataTree
        Group ``posterior`` when every draw comes from a posterior and ``draws`` otherwise, with dimensions
        (chain, draw) and one variable per parameter in the user's units; group ``constant_data`` with the scales of
        time and money; attributes that say what the numbers are.

    Notes
    -----
    Draws of a maximum-likelihood fit are no posterior, so they are not called one: give ArviZ the group, as in
    ``az.summary(tree, group="draws", kind="stats")``.
    """
    import xarray as xr

    kinds = {model.draws.kind} | ({model.draws.spend_kind} if model.spend is not None else set())
    group = "posterior" if kinds <= {LAPLACE, POSTERIOR} else "draws"
    frame = model.draws.to_frame()
    draws = xr.Dataset(
        {str(name): (("chain", "draw"), column.to_numpy()[None, :]) for name, column in frame.items()},
        coords={"chain": [0], "draw": np.arange(len(frame))},
        attrs={"kind": model.draws.kind, "spend_kind": model.draws.spend_kind or "none"},
    )
    scales = {"time_scale": model.time_scale}
    if model.money_scale is not None:
        scales["money_scale"] = model.money_scale
    tree = xr.DataTree.from_dict({group: draws, "constant_data": xr.Dataset(scales)})
    tree.attrs = {
        "purchases": model.purchases,
        "spend": model.spend or "none",
        "method": model.method,
        "unit": model.unit,
        "currency": model.currency or "unknown",
        "as_of": model.as_of.isoformat(),
        "status": model.report.status.value,
        "message": model.report.message,
    }
    return tree
