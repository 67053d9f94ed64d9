"""The probability models, as pure functions of arrays with the same names in every module.

Each model has one likelihood of single customers and one compiled sum with its gradient, and with them the limits,
starting values and words of its parameters; the registry below is the only list of models. Every room above may call
them; they know nothing of tables, dates or fits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, Protocol

from numpy.typing import ArrayLike

from clv_forecast.errors import DomainError
from clv_forecast.models import bg_nbd, gamma_gamma, mbg_nbd, pareto_nbd
from clv_forecast.models.coordinates import Coordinate
from clv_forecast.models.domain import Floats
from clv_forecast.models.paths import FuturePurchases
from clv_forecast.streams import RandomSource


class TransactionModel(Protocol):
    """What every module of a transaction model offers; :mod:`clv_forecast.models.bg_nbd` documents each name."""

    @property
    def TITLE(self) -> str:
        """Name of the model as its papers write it."""
        ...

    @property
    def LEAVES(self) -> str:
        """When a customer may leave for good, such as ``"after each purchase"``."""
        ...

    @property
    def PARAMETERS(self) -> tuple[str, ...]:
        """Names of the natural parameters."""
        ...

    @property
    def TIME_PARAMETERS(self) -> tuple[str, ...]:
        """Those measured in the unit of time: where the functions of ``T`` have their singularities."""
        ...

    @property
    def COORDINATES(self) -> tuple[Coordinate, ...]:
        """The free vector's entries."""
        ...

    @property
    def NANOSECONDS(self) -> float:
        """About what one row of the likelihood costs: a factor of two does not matter."""
        ...

    @property
    def future_key(self) -> tuple[str, ...]:
        """Columns on which the future of a living customer depends."""
        ...

    @property
    def Params(self) -> Callable[..., Any]:
        """The frozen parameters."""
        ...

    def log_likelihood(self, params: Any, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike) -> Floats:
        """Log-likelihood of each customer."""
        ...

    def log_likelihood_of_cells(self, theta: Floats, tables: Any, wanted: bool) -> tuple[float, Floats]:
        """Sum over customers and its gradient in the free vectors, compiled: see :mod:`clv_forecast.models.kernels`."""
        ...

    def p_alive(self, params: Any, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike) -> Floats:
        """Probability of being alive at ``T``."""
        ...

    def expected_purchases(
        self, params: Any, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike, *, horizon: ArrayLike
    ) -> Floats:
        """Expected purchases in ``(T, T + horizon]``."""
        ...

    def discounted_purchases(
        self,
        params: Any,
        frequency: ArrayLike,
        recency: ArrayLike,
        T: ArrayLike,
        *,
        horizon: ArrayLike,
        discount: ArrayLike,
    ) -> Floats:
        """Discounted expected purchases in ``(T, T + horizon]``."""
        ...

    def expected_purchases_given_alive(
        self, params: Any, frequency: ArrayLike, T: ArrayLike, *, horizon: ArrayLike, discount: ArrayLike = 0.0
    ) -> Floats:
        """Discounted expected purchases of a customer known to be alive at ``T``."""
        ...

    def purchase_rate_given_alive(self, params: Any, frequency: ArrayLike, T: ArrayLike, *, ahead: ArrayLike) -> Floats:
        """Expected purchase rate at ``T + ahead`` of a customer alive at ``T``."""
        ...

    def survival_given_alive(self, params: Any, frequency: ArrayLike, T: ArrayLike, *, ahead: ArrayLike) -> Floats:
        """Probability that a customer alive at ``T`` is alive at ``T + ahead``."""
        ...

    def expected_time_alive(
        self,
        params: Any,
        frequency: ArrayLike,
        recency: ArrayLike,
        T: ArrayLike,
        *,
        horizon: ArrayLike,
        discount: ArrayLike = 0.0,
    ) -> Floats:
        """Discounted expected time alive in ``(T, T + horizon]``."""
        ...

    def purchase_pmf(self, params: Any, n: ArrayLike, *, horizon: ArrayLike) -> Floats:
        """Probability that a new customer makes ``n`` repeat purchases."""
        ...

    def expected_purchases_new(self, params: Any, *, horizon: ArrayLike) -> Floats:
        """Expected repeat purchases of a new customer."""
        ...

    def probability_no_purchase(
        self, params: Any, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike, *, horizon: ArrayLike
    ) -> Floats:
        """Probability of no purchase in ``(T, T + horizon]``."""
        ...

    def probability_of_silence(self, params: Any, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike) -> Floats:
        """Probability of no purchase in ``(recency, T]`` for one who is alive all the while."""
        ...

    def next_purchase_quantile(
        self, params: Any, frequency: ArrayLike, T: ArrayLike, *, probability: ArrayLike
    ) -> Floats:
        """Time within which a living customer buys again with the given probability."""
        ...

    def draw_future_purchases(
        self,
        params: Any,
        frequency: ArrayLike,
        recency: ArrayLike,
        T: ArrayLike,
        *,
        horizon: ArrayLike,
        rng: RandomSource,
        draws: int | None = None,
        stays: bool = False,
    ) -> FuturePurchases:
        """Draw the purchases in ``(T, T + horizon]``."""
        ...

    def simulate(self, params: Any, T: ArrayLike, *, rng: RandomSource) -> FuturePurchases:
        """Simulate new customers from their first purchase to ``T``."""
        ...

    def unconstrain(self, params: Any) -> Floats:
        """Free vector of the parameters."""
        ...

    def constrain(self, theta: ArrayLike) -> Any:
        """Parameters of the free vector."""
        ...

    def constrain_jacobian(self, theta: ArrayLike) -> Floats:
        """Derivatives of the natural parameters, rows, with respect to the free vector, columns."""
        ...

    def starting_points(
        self, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike, weights: ArrayLike
    ) -> list[Floats]:
        """Free vectors to start a fit from."""
        ...

    def prior_location_scale(self, time_scale: float, rate: float) -> tuple[Floats, Floats]:
        """Location and scale of the default prior on the free vector."""
        ...


TRANSACTION_MODELS: Final[Mapping[str, TransactionModel]] = MappingProxyType(
    {"bg_nbd": bg_nbd, "mbg_nbd": mbg_nbd, "pareto_nbd": pareto_nbd}
)


def model_name(name: Any) -> Any:
    """The name of a model by its title too, as reports print it; what is unknown comes back as it is.

    Examples
    --------
    >>> model_name("BG/NBD"), model_name("Gamma-Gamma"), model_name("bg_nbd")
    ('bg_nbd', 'gamma_gamma', 'bg_nbd')
    """
    if not isinstance(name, str):
        return name
    known = {_letters(text): one for one, model in _models().items() for text in (one, model.TITLE)}
    return known.get(_letters(name), name)


def coordinate(name: str) -> Coordinate:
    """Look up a coordinate of any model.

    Examples
    --------
    >>> coordinate("log_rate").quantity
    'mean_purchase_rate'
    """
    found: Iterable[Coordinate] = (each for model in _models().values() for each in model.COORDINATES)
    return next(each for each in found if each.name == name)


def names_of(coordinates: Iterable[Coordinate]) -> tuple[str, ...]:
    """Names of coordinates.

    Examples
    --------
    >>> names_of(gamma_gamma.COORDINATES)
    ('log_mean_spend', 'log_p', 'log_q_minus_1')
    """
    return tuple(each.name for each in coordinates)


def kernel_of(likelihood: str) -> Callable[..., tuple[float, Floats]]:
    """The compiled likelihood of a transaction model, or of ``"gamma_gamma_orders"`` or ``"gamma_gamma_means"``."""
    level = likelihood.removeprefix("gamma_gamma_")
    return transaction_model(likelihood).log_likelihood_of_cells if level == likelihood else gamma_gamma.KERNELS[level]


def _models() -> dict[str, Any]:
    return {**TRANSACTION_MODELS, "gamma_gamma": gamma_gamma}


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name)).casefold()


def transaction_model(name: str) -> TransactionModel:
    """Look up the module of a transaction model, by its name or title.

    Raises
    ------
    DomainError
        If no model has that name.

    Examples
    --------
    >>> transaction_model("bg_nbd").PARAMETERS, transaction_model("Pareto/NBD").TITLE
    (('r', 'alpha', 'a', 'b'), 'Pareto/NBD')
    """
    found = model_name(name)
    if found not in TRANSACTION_MODELS:
        raise DomainError(
            "Unknown transaction model.", value=repr(name), remedy=f"Known: {', '.join(TRANSACTION_MODELS)}."
        )
    return TRANSACTION_MODELS[found]
