"""A model as an xarray DataTree, for ArviZ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from clv_forecast.errors import DomainError
from clv_forecast.inference.draws import LAPLACE, POSTERIOR
from clv_forecast.inference.hierarchical.chains import Chains
from clv_forecast.inference.hierarchical.priors import from_free
from clv_forecast.inference.loo import purchase_log_likelihood, spend_log_likelihood
from clv_forecast.inference.model import FittedRows
from clv_forecast.models import gamma_gamma, transaction_model

if TYPE_CHECKING:
    import xarray as xr

    from clv_forecast.inference.model import Model

Floats = NDArray[np.float64]

MOST_LOG_LIKELIHOODS: Final = 50_000_000
"""Values of (draw, customer) that ``per_customer=True`` makes at most: 400 MB."""
_PRIOR_DRAWS: Final = 1000
_UPPER: Final = float(stats.norm.ppf(0.975))


def to_datatree(model: Model, *, per_customer: bool = False) -> xr.DataTree:
    """Draws, data and facts of a model in the layout ArviZ reads.

    Parameters
    ----------
    model : Model
    per_customer : bool
        Add the group ``log_likelihood`` with a value for every customer, as ``az.loo`` needs it: variables
        ``purchases`` and ``spend``. The draws are then those of ``model.draws``.

    Returns
    -------
    DataTree
        - ``posterior`` when every draw comes from a posterior and ``draws`` otherwise: the natural parameters and
          the quantities that priors are about, in the user's units (of a hierarchical fit: in the middle of the
          population), and every variable of a sampler;
        - ``sample_stats`` of a sampler;
        - ``prior``: draws of the quantities that priors are about;
        - ``observed_data``: the distinct rows; ``constant_data``: their weights and cells, scales of time and money;
        - attributes that say what the numbers are.

    Raises
    ------
    DomainError
        If ``per_customer`` asks for more than 50 million values, or the model does not hold its rows.

    Notes
    -----
    Draws of a maximum-likelihood fit are no posterior, so they are not called one: give ArviZ the group, as in
    ``az.summary(tree, group="draws", kind="stats")``. The rows are distinct ones with weights, which ``az.loo``
    would take for customers: use ``clv.loo``, or ``per_customer=True``.
    """
    import xarray as xr

    kinds = {model.draws.kind} | ({model.draws.spend_kind} if model.spend is not None else set())
    group = "posterior" if kinds <= {LAPLACE, POSTERIOR} else "draws"
    purchase_chains, spend_chains = _equally_long(model.purchase_chains, model.spend_chains)
    groups = {group: _draws(model, (None, None) if per_customer else (purchase_chains, spend_chains))}
    stats_of = _sample_stats(purchase_chains, spend_chains)
    if stats_of and not per_customer:
        groups["sample_stats"] = xr.Dataset(stats_of)
    if model.priors is not None:
        groups["prior"] = _prior(model)
    scales: dict[str, Any] = {"time_scale": model.time_scale}
    if model.money_scale is not None:
        scales["money_scale"] = model.money_scale
    if model.rows is not None:
        groups["observed_data"], weights = _rows(model.rows)
        scales |= weights
    groups["constant_data"] = xr.Dataset(scales)
    if per_customer:
        groups["log_likelihood"] = _log_likelihood(model)
    tree = xr.DataTree.from_dict(groups)
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


def chains_of_draws(model: Model) -> int:
    """Number of chains that ``model.draws`` can be laid out in: draws of one chain stand together."""
    chains = 1 if model.purchase_chains is None else model.purchase_chains.shape[0]
    return chains if model.draws.n_draws % chains == 0 else 1


def _draws(model: Model, all_chains: tuple[Chains | None, Chains | None]) -> xr.Dataset:
    import xarray as xr

    variables: dict[str, Any] = {}
    coords: dict[str, Any] = {}
    parts: list[tuple[str, Any, Any, Chains | None]] = [
        ("purchases", transaction_model(model.purchases), model.draws.purchases, all_chains[0])
    ]
    if model.spend is not None:
        parts.append(("spend", gamma_gamma, model.draws.spend, all_chains[1]))
    for part, module, params, chains in parts:
        if chains is not None:
            theta = chains.variables[f"{part}_intercept"]
            for name, values in chains.variables.items():
                dims, labels, shown = _without_diagonal(name, values, chains)
                variables[name] = (("chain", "draw", *dims), shown)
                coords |= labels
        else:
            theta = _scaled(model, module, params).reshape(chains_of_draws(model), -1, len(module.COORDINATES))
        variables |= _named(model, module, theta)
    first = next(iter(variables.values()))[1]
    coords |= {"chain": np.arange(first.shape[0]), "draw": np.arange(first.shape[1])}
    attrs = {"kind": model.draws.kind, "spend_kind": model.draws.spend_kind or "none"}
    return xr.Dataset(variables, coords=coords, attrs=attrs)


def _equally_long(purchases: Chains | None, spend: Chains | None) -> tuple[Chains | None, Chains | None]:
    """Both parts with as many draws: the one that was sampled longer is thinned."""
    if purchases is None or spend is None:
        return purchases, spend
    draws = min(purchases.shape[1], spend.shape[1])
    return purchases.thinned(draws), spend.thinned(draws)


def _without_diagonal(
    name: str, values: Floats, chains: Chains
) -> tuple[tuple[str, ...], dict[str, list[str]], Floats]:
    """Dimensions, their labels and values; of correlations one value per pair, since a diagonal of ones has no ESS."""
    dims = chains.dims[name]
    if "_correlation_" not in name:
        return dims, {dim: list(chains.coords[dim]) for dim in dims}, values
    labels = chains.coords[dims[0]]
    first, second = np.triu_indices(len(labels), 1)
    pair = dims[0].removesuffix("_varying") + "_pair"
    named = [f"{labels[i]}, {labels[j]}" for i, j in zip(first, second, strict=True)]
    return (pair,), {pair: named}, values[:, :, first, second]


def _scales(model: Model, module: Any) -> dict[str, float]:
    """What each natural parameter of scaled data is multiplied by."""
    money = 1.0 if model.money_scale is None else model.money_scale
    if module is gamma_gamma:
        return {name: money if name == "v" else 1.0 for name in module.PARAMETERS}
    return {name: model.time_scale if name in module.TIME_PARAMETERS else 1.0 for name in module.PARAMETERS}


def _scaled(model: Model, module: Any, params: Any) -> Floats:
    """Coordinates of parameters in scaled data, shape (draw, k)."""
    scales = _scales(model, module)
    values = module.unconstrain(type(params)(*(getattr(params, name) / scales[name] for name in module.PARAMETERS)))
    return np.asarray(values)


def _named(model: Model, module: Any, theta: Floats) -> dict[str, Any]:
    """Natural parameters, and what the coordinates mean, from coordinates of shape (chain, draw, k)."""
    chains, draws, k = theta.shape
    params, scales = module.constrain(theta.reshape(-1, k)), _scales(model, module)
    found = {
        name: (("chain", "draw"), (getattr(params, name) * scales[name]).reshape(chains, draws))
        for name in module.PARAMETERS
    }
    money = 1.0 if model.money_scale is None else model.money_scale
    for index, meaning in enumerate(module.COORDINATES):
        values = from_free(theta[..., index], meaning, time_scale=model.time_scale, money_scale=money)
        found[meaning.quantity] = (("chain", "draw"), values)
    return found


def _sample_stats(purchases: Chains | None, spend: Chains | None) -> dict[str, Any]:
    """Statistics of both samplers' runs: each with its prefix, and what ArviZ looks for over both."""
    found: dict[str, Any] = {}
    diverging: list[NDArray[Any]] = []
    for part, chains in (("purchases", purchases), ("spend", spend)):
        if chains is not None:
            found |= {f"{part}_{name}": (("chain", "draw"), v) for name, v in chains.sample_stats.items()}
            diverging.append(np.asarray(chains.sample_stats["diverging"], dtype=bool))
    if diverging:
        found["diverging"] = (("chain", "draw"), np.logical_or.reduce(diverging))
    return found


def _prior(model: Model) -> xr.Dataset:
    """Draws of the quantities that priors are about, from their medians and upper bounds."""
    import xarray as xr

    links = {
        each.quantity: each.link for each in (*transaction_model(model.purchases).COORDINATES, *gamma_gamma.COORDINATES)
    }
    assert model.priors is not None  # noqa: S101 - the caller checked
    variables = {}
    generator = np.random.default_rng([model.seed, 4])
    table = model.priors
    for name, median, upper in zip(table["name"], table["median"], table["upper"], strict=True):
        if name not in links:
            continue
        to_free, back = (special.logit, special.expit) if links[name] == "logit" else (np.log, np.exp)
        location = float(to_free(median))
        sd = (float(to_free(upper)) - location) / _UPPER
        values = back(location + sd * generator.standard_normal(_PRIOR_DRAWS))
        variables[name] = (("chain", "draw"), np.asarray(values)[None, :])
    return xr.Dataset(variables, coords={"chain": [0], "draw": np.arange(_PRIOR_DRAWS)})


def _rows(rows: FittedRows) -> tuple[xr.Dataset, dict[str, Any]]:
    import xarray as xr

    bought, spent = rows.purchases, rows.spend
    observed = {name: ("purchase_row", getattr(bought, name)) for name in ("frequency", "recency", "T")}
    constant = {
        "purchase_customers": ("purchase_row", bought.weights),
        "purchase_cell": ("purchase_row", bought.cell),
    }
    if spent is not None:
        observed |= {f"spend_{name}": ("spend_row", getattr(spent, name)) for name in ("n", "total", "sum_log")}
        constant |= {"spend_customers": ("spend_row", spent.weights), "spend_cell": ("spend_row", spent.cell)}
    return xr.Dataset(observed), constant


def _log_likelihood(model: Model) -> xr.Dataset:
    """Of every customer: the rows repeated by their weights."""
    import xarray as xr

    if model.rows is None:
        raise DomainError(
            "per_customer needs the rows that the model was fitted to, which this model does not hold.",
            value=model.method,
            remedy="Fit it with clv.fit.",
        )
    bought, spent = model.rows.purchases, model.rows.spend
    largest = model.draws.n_draws * int(bought.weights.sum())
    if largest > MOST_LOG_LIKELIHOODS:
        raise DomainError(
            f"per_customer makes at most {MOST_LOG_LIKELIHOODS:,} values.",
            value=f"{model.draws.n_draws:,} draws x {int(bought.weights.sum()):,} customers = {largest:,}",
            remedy="Use clv.loo, which smooths once per distinct row.",
        )
    chains = chains_of_draws(model)
    values = purchase_log_likelihood(model.purchases_of_cells(bought.cell), model.purchases, bought)
    found = {"purchases": (("chain", "draw", "purchase_customer"), _expanded(values, bought.weights, chains))}
    if spent is not None and model.spend_level is not None:
        values = spend_log_likelihood(model.spend_of_cells(spent.cell), model.spend_level, spent)
        found["spend"] = (("chain", "draw", "spend_customer"), _expanded(values, spent.weights, chains))
    return xr.Dataset(found)


def _expanded(values: Floats, weights: Floats, chains: int) -> Floats:
    expanded = np.repeat(values, weights.astype(np.intp), axis=1)
    return expanded.reshape(chains, -1, expanded.shape[1])
