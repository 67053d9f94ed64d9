r"""What BG/NBD and MBG/NBD share: a Poisson buyer who may leave after each purchase.

The two models differ in one number only, ``initial``: how many chances to leave the first purchase itself brings
(0 in BG/NBD, 1 in MBG/NBD). After ``x`` repeat purchases a living customer has survived ``m = x + initial`` chances,
so that given alive at ``T``, independently,

.. math:: \lambda \sim \text{Gamma}(r + x,\ \alpha + T), \qquad p \sim \text{Beta}(a,\ b + m)

and with ``s = r + x``, ``beta = alpha + T`` the rate of purchases at ``T + tau`` is
``E[lambda exp(-lambda p tau)] = (s / beta) E_p[(1 + p tau / beta)^-(s+1)]``: everything about the future is an average
of :mod:`clv_forecast.models.beta_average`, which has neither the poles nor the overflow of the closed form. Likelihood
and odds are formed in logarithms. Every function takes parameters that broadcast to (draw, customer).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betainc, expit, gammaln, xlogy

from clv_forecast.models.beta_average import power_integral_average, quick_power_average
from clv_forecast.models.beta_geometric_likelihood import Params
from clv_forecast.models.domain import (
    Floats,
    checked_counts,
    checked_discount,
    checked_history,
    checked_horizon,
    non_negative,
)
from clv_forecast.models.paths import FuturePurchases, future_paths
from clv_forecast.models.special import log_rising
from clv_forecast.streams import RandomSource


@dataclass(frozen=True, slots=True, kw_only=True)
class BetaGeometric:
    r"""The functions of BG/NBD (``initial=0``) and MBG/NBD (``initial=1``), with ``m = x + initial``.

    Parameters
    ----------
    initial : int
        Chances to leave that the first purchase brings.

    References
    ----------
    .. [1] Fader, Hardie & Lee (2005), the paper of :mod:`clv_forecast.models.bg_nbd`.
    """

    initial: int

    def log_likelihood(self, params: Params, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike) -> Floats:
        r"""Log-likelihood of each customer (eq. 6 of [1]_).

        .. math::
            L = \frac{\Gamma(r + x) \alpha^r}{\Gamma(r)} \frac{B(a, b + m)}{B(a, b)} \Big[(\alpha + T)^{-(r + x)}
            + 1_{m > 0} \frac{a}{b + m - 1} (\alpha + t_x)^{-(r + x)}\Big]

        Parameters
        ----------
        params : Params
            Each field scalar or broadcasting to (draw, customer); ``alpha`` in the unit of ``T``.
        frequency, recency, T : array_like, shape (customer,)
            Repeat purchases, time of the last one, length of observation; 0 <= recency <= T.

        Returns
        -------
        ndarray, shape (customer,) or (draw, customer)

        Raises
        ------
        DomainError
            If an argument is negative or not finite, or recency exceeds T.

        Notes
        -----
        The second term is added as ``log1p(exp(odds))`` beside the first, so that neither overflows for heavy buyers
        (test: ``test_heavy_buyers``); where no chance to leave has passed it is left out.

        Examples
        --------
        >>> bg = BetaGeometric(initial=0)
        >>> bg.log_likelihood(Params(0.25, 4.0, 0.8, 2.5), [0, 200], [0, 38], [40, 40]).round(6)
        array([ -0.599474, 100.795693])
        """
        x, t_x, length = checked_history(frequency, recency, T)
        times = params.r * np.log1p(length / params.alpha) + x * np.log(params.alpha + length)
        odds = self._log_odds_left(params, x, t_x, length)
        beside: Floats = np.maximum(odds, 0.0) + np.log1p(np.exp(-np.abs(odds)))  # np.logaddexp is not vectorised
        return self._log_weight_of_count(params, x) - times + beside

    def p_alive(self, params: Params, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike) -> Floats:
        r"""Probability that each customer is alive at ``T``.

        .. math::
            P(\text{alive} \mid x, t_x, T) = \Big[1 + \frac{a}{b + m - 1}
            \Big(\frac{\alpha + T}{\alpha + t_x}\Big)^{r + x}\Big]^{-1}

        Parameters
        ----------
        params : Params
            Each field scalar or broadcasting to (draw, customer).
        frequency, recency, T : array_like, shape (customer,)
            0 <= recency <= T.

        Returns
        -------
        ndarray, shape (customer,) or (draw, customer)
            In [0, 1]; exactly 1 where no chance to leave has passed (``m = 0``).

        Raises
        ------
        DomainError
            If an argument is negative or not finite, or recency exceeds T.

        Examples
        --------
        >>> bg = BetaGeometric(initial=0)
        >>> bg.p_alive(Params(0.243, 4.414, 0.793, 2.426), [0, 2], [0.0, 30.43], [38.86, 38.86]).round(6)
        array([1.      , 0.726579])
        """
        return self._p_alive(params, *checked_history(frequency, recency, T))

    def expected_purchases(
        self, params: Params, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike, *, horizon: ArrayLike
    ) -> Floats:
        r"""Expected purchases of each customer in ``(T, T + horizon]`` (eq. 10 of [1]_, as an integral).

        .. math::
            E[Y(t) \mid x, t_x, T] = P(\text{alive}) \, \frac{r + x}{\alpha + T}
            \int_0^t {}_2F_1\Big(r + x + 1, a; a + b + m; -\frac{\tau}{\alpha + T}\Big) d\tau

        Parameters
        ----------
        params : Params
            Each field scalar or broadcasting to (draw, customer).
        frequency, recency, T : array_like, shape (customer,)
            0 <= recency <= T.
        horizon : array_like
            In the unit of ``T``; not negative, may be infinite.

        Returns
        -------
        ndarray, shape (customer,) or (draw, customer)
            Purchases, >= 0; infinite for an infinite horizon where ``a <= 1``.

        Raises
        ------
        DomainError
            If an argument is out of its domain.

        Notes
        -----
        The integral has no pole at ``a = 1`` or ``a + b + m = 1``, unlike its closed form (tests:
        ``test_pole_at_a_equal_1``, ``test_pole_of_the_one_time_buyer``).

        Examples
        --------
        >>> bg = BetaGeometric(initial=0)
        >>> bg.expected_purchases(Params(0.243, 4.414, 0.793, 2.426), 2, 30.43, 38.86, horizon=39).round(6)
        array([1.226028])
        """
        return self.discounted_purchases(params, frequency, recency, T, horizon=horizon, discount=0.0)

    def discounted_purchases(
        self,
        params: Params,
        frequency: ArrayLike,
        recency: ArrayLike,
        T: ArrayLike,
        *,
        horizon: ArrayLike,
        discount: ArrayLike,
    ) -> Floats:
        r"""Expected purchases in ``(T, T + horizon]``, each discounted from its own time back to ``T``.

        .. math::
            P(\text{alive}) \int_0^t e^{-\delta \tau} E[\lambda e^{-\lambda p \tau}] \, d\tau
            \;\to\; P(\text{alive}) \, E\Big[\frac{\lambda}{\lambda p + \delta}\Big]
            \quad (t \to \infty)

        Parameters
        ----------
        params : Params
            Each field scalar or broadcasting to (draw, customer).
        frequency, recency, T : array_like, shape (customer,)
            0 <= recency <= T.
        horizon : array_like
            In the unit of ``T``; not negative, may be infinite.
        discount : array_like
            Continuous rate per unit of ``T``, not negative.

        Returns
        -------
        ndarray, shape (customer,) or (draw, customer)
            Discounted purchases, >= 0; infinite only without discount, for an infinite horizon where ``a <= 1``.

        Raises
        ------
        DomainError
            If an argument is out of its domain.

        Examples
        --------
        >>> bg = BetaGeometric(initial=0)
        >>> params = Params(0.243, 4.414, 0.793, 2.426)
        >>> bg.discounted_purchases(params, 2, 30.43, 38.86, horizon=float("inf"), discount=0.0018).round(5)
        array([6.4208])
        """
        x, t_x, length = checked_history(frequency, recency, T)
        given_alive = self._purchases(params, x, length, checked_horizon(horizon), checked_discount(discount))
        return _times_alive(self._p_alive(params, x, t_x, length), given_alive)

    def expected_purchases_given_alive(
        self, params: Params, frequency: ArrayLike, T: ArrayLike, *, horizon: ArrayLike, discount: ArrayLike = 0.0
    ) -> Floats:
        """Discounted expected purchases in ``(T, T + horizon]`` of a customer known to be alive at ``T``.

        It depends on the columns of ``future_key`` only; times :func:`p_alive` it is :func:`discounted_purchases`.

        Parameters
        ----------
        params : Params
            Each field scalar or broadcasting to (draw, customer).
        frequency, T : array_like, shape (customer,)
        horizon : array_like
            In the unit of ``T``; not negative, may be infinite.
        discount : array_like
            Continuous rate per unit of ``T``, not negative.

        Returns
        -------
        ndarray, shape (customer,) or (draw, customer)

        Raises
        ------
        DomainError
            If an argument is out of its domain.

        Examples
        --------
        >>> bg = BetaGeometric(initial=0)
        >>> bg.expected_purchases_given_alive(Params(0.243, 4.414, 0.793, 2.426), 2, 38.86, horizon=39).round(6)
        array([1.687399])
        """
        x, length = non_negative("frequency", frequency), non_negative("T", T)
        return self._purchases(params, x, length, checked_horizon(horizon), checked_discount(discount))

    def purchase_rate_given_alive(
        self, params: Params, frequency: ArrayLike, T: ArrayLike, *, ahead: ArrayLike
    ) -> Floats:
        r"""Expected purchase rate at ``T + ahead`` of a customer who is alive at ``T``.

        .. math:: \frac{r + x}{\alpha + T}\, {}_2F_1\Big(r + x + 1, a; a + b + m; -\frac{\tau}{\alpha + T}\Big)

        Parameters
        ----------
        params : Params
            Each field scalar or broadcasting to (draw, customer).
        frequency, T : array_like, shape (customer,)
        ahead : array_like
            Time since ``T``, not negative.

        Returns
        -------
        ndarray, shape (customer,) or (draw, customer)
            Purchases per unit of time. Its integral over a horizon is :func:`expected_purchases_given_alive`.

        Raises
        ------
        DomainError
            If an argument is negative or NaN.

        Examples
        --------
        >>> bg = BetaGeometric(initial=0)
        >>> bg.purchase_rate_given_alive(Params(0.25, 4.0, 0.8, 2.5), 2, 38.0, ahead=0.0).round(6)
        array([0.053571])
        """
        x, length, later = non_negative("frequency", frequency), non_negative("T", T), non_negative("ahead", ahead)
        s, beta = params.r + x, params.alpha + length
        return s / beta * quick_power_average(params.a, params.b + x + self.initial, later / beta, s + 1.0)

    def survival_given_alive(self, params: Params, frequency: ArrayLike, T: ArrayLike, *, ahead: ArrayLike) -> Floats:
        """Probability that a customer alive at ``T`` is still alive at ``T + ahead``.

        Parameters
        ----------
        params : Params
            Each field scalar or broadcasting to (draw, customer).
        frequency, T : array_like, shape (customer,)
        ahead : array_like
            Time since ``T``, not negative.

        Returns
        -------
        ndarray, shape (customer,) or (draw, customer)

        Raises
        ------
        DomainError
            If an argument is negative or NaN.

        Examples
        --------
        >>> bg = BetaGeometric(initial=0)
        >>> bg.survival_given_alive(Params(0.25, 4.0, 0.8, 2.5), 2, 38.0, ahead=0.0).round(6)
        array([1.])
        """
        x, length, later = non_negative("frequency", frequency), non_negative("T", T), non_negative("ahead", ahead)
        s, beta = params.r + x, params.alpha + length
        return quick_power_average(params.a, params.b + x + self.initial, later / beta, s)

    def expected_time_alive(
        self,
        params: Params,
        frequency: ArrayLike,
        recency: ArrayLike,
        T: ArrayLike,
        *,
        horizon: ArrayLike,
        discount: ArrayLike = 0.0,
    ) -> Floats:
        r"""Expected discounted time in ``(T, T + horizon]`` during which each customer is alive.

        .. math::
            P(\text{alive}) \int_0^t e^{-\delta \tau} \,
            {}_2F_1\Big(r + x, a; a + b + m; -\frac{\tau}{\alpha + T}\Big) d\tau

        Parameters
        ----------
        params : Params
            Each field scalar or broadcasting to (draw, customer).
        frequency, recency, T : array_like, shape (customer,)
            0 <= recency <= T.
        horizon : array_like
            In the unit of ``T``; not negative, may be infinite.
        discount : array_like
            Continuous rate per unit of ``T``, not negative.

        Returns
        -------
        ndarray, shape (customer,) or (draw, customer)
            In the unit of ``T``; infinite only without discount, for an infinite horizon where ``a <= 1`` or
            ``r + frequency <= 1``.

        Raises
        ------
        DomainError
            If an argument is out of its domain.

        Examples
        --------
        >>> bg = BetaGeometric(initial=0)
        >>> bg.expected_time_alive(Params(0.243, 4.414, 0.793, 2.426), 2, 30.43, 38.86, horizon=52).round(4)
        array([32.0245])
        """
        x, t_x, length = checked_history(frequency, recency, T)
        ahead, rate = checked_horizon(horizon), checked_discount(discount)
        s, beta = params.r + x, params.alpha + length
        given_alive = beta * power_integral_average(params.a, params.b + x + self.initial, ahead / beta, s, rate * beta)
        return _times_alive(self._p_alive(params, x, t_x, length), given_alive)

    def purchase_pmf(self, params: Params, n: ArrayLike, *, horizon: ArrayLike) -> Floats:
        r"""Probability that a new customer makes exactly ``n`` repeat purchases in ``(0, horizon]`` (eq. 8 of [1]_).

        .. math::
            P(X(t) = n) = \frac{(b)_{n+i}}{(a + b)_{n+i}} P(NB(t) = n)
            + 1_{n + i > 0} \frac{a \, (b)_{n+i-1}}{(a + b)_{n+i}} P(NB(t) \ge n)

        with ``i = initial``, and ``NB`` the negative binomial count of a customer who never leaves.

        Parameters
        ----------
        params : Params
            Each field scalar or broadcasting with ``n``.
        n : array_like
            Whole numbers, not negative.
        horizon : array_like
            Time since the first purchase; may be infinite.

        Returns
        -------
        ndarray
            Broadcast shape.

        Raises
        ------
        DomainError
            If an argument is out of its domain.

        Examples
        --------
        >>> bg = BetaGeometric(initial=0)
        >>> bg.purchase_pmf(Params(0.243, 4.414, 0.793, 2.426), [0, 1], horizon=39).round(6)
        array([0.573786, 0.199395])
        """
        count, time = checked_counts(n), checked_horizon(horizon)
        chances = count + self.initial
        share = -np.expm1(-np.log1p(time / params.alpha))
        silent = params.r * np.log1p(time / params.alpha)
        made_n = log_rising(params.r, count) - gammaln(count + 1.0) + xlogy(count, share) - silent
        survived = log_rising(params.b, chances) - log_rising(params.a + params.b, chances)
        # P(at least n purchases if nobody left); betainc needs n > 0.
        made_more = np.where(count > 0.0, betainc(np.maximum(count, 1.0), params.r, share), 1.0)
        leaving = params.a / (params.b + np.maximum(chances, 1.0) - 1.0)
        pmf: Floats = np.exp(survived) * (np.exp(made_n) + np.where(chances > 0.0, leaving * made_more, 0.0))
        return pmf

    def expected_purchases_new(self, params: Params, *, horizon: ArrayLike) -> Floats:
        """Expected repeat purchases of a new customer in ``(0, horizon]`` (eq. 9 of [1]_).

        Parameters
        ----------
        params : Params
            Each field scalar or broadcasting with ``horizon``.
        horizon : array_like
            Time since the first purchase; may be infinite.

        Returns
        -------
        ndarray
            Broadcast shape; infinite for an infinite horizon where ``a <= 1``.

        Raises
        ------
        DomainError
            If ``horizon`` is negative or NaN.

        Examples
        --------
        >>> bg = BetaGeometric(initial=0)
        >>> float(bg.expected_purchases_new(Params(0.243, 4.414, 0.793, 2.426), horizon=39).round(6))
        1.196723
        """
        nothing = np.zeros(())
        given_alive = self._purchases(params, nothing, nothing, checked_horizon(horizon), nothing)
        return _times_alive(self._p_alive(params, nothing, nothing, nothing), given_alive)

    def probability_no_purchase(
        self, params: Params, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike, *, horizon: ArrayLike
    ) -> Floats:
        r"""Probability that each customer buys nothing in ``(T, T + horizon]``.

        .. math:: 1 - P(\text{alive}) \Big[1 - \Big(\frac{\alpha + T}{\alpha + T + t}\Big)^{r + x}\Big]

        Parameters
        ----------
        params : Params
            Each field scalar or broadcasting to (draw, customer).
        frequency, recency, T : array_like, shape (customer,)
            0 <= recency <= T.
        horizon : array_like
            In the unit of ``T``; not negative, may be infinite.

        Returns
        -------
        ndarray, shape (customer,) or (draw, customer)

        Raises
        ------
        DomainError
            If an argument is out of its domain.

        Examples
        --------
        >>> bg = BetaGeometric(initial=0)
        >>> bg.probability_no_purchase(Params(0.243, 4.414, 0.793, 2.426), 0, 0, 30, horizon=10).round(6)
        array([0.939895])
        """
        x, t_x, length = checked_history(frequency, recency, T)
        buys = -np.expm1(-(params.r + x) * np.log1p(checked_horizon(horizon) / (params.alpha + length)))
        return 1.0 - self._p_alive(params, x, t_x, length) * buys

    def draw_future_purchases(
        self,
        params: Params,
        frequency: ArrayLike,
        recency: ArrayLike,
        T: ArrayLike,
        *,
        horizon: ArrayLike,
        rng: RandomSource,
        draws: int | None = None,
        stays: bool = False,
    ) -> FuturePurchases:
        """Draw the purchases of each customer in ``(T, T + horizon]`` from their exact predictive distribution.

        Parameters
        ----------
        params : Params
            Each field scalar or broadcasting to (draw, customer).
        frequency, recency, T : array_like, shape (customer,)
            0 <= recency <= T.
        horizon : array_like, scalar or shape (customer,)
            In the unit of ``T``; finite. A longer horizon only adds purchases to the path of a shorter one.
        rng : int, numpy Generator or KeyedStreams
        draws : int, optional
            Number of draws when the parameters have no draw axis (default 1).
        stays : bool
            Whether who is alive at ``T`` is kept from leaving until the horizon; the same random numbers otherwise.

        Returns
        -------
        FuturePurchases
            Shape (draw, customer).

        Raises
        ------
        DomainError
            If an argument is out of its domain, or the horizon infinite.

        Examples
        --------
        >>> bg = BetaGeometric(initial=0)
        >>> params = Params(0.243, 4.414, 0.793, 2.426)
        >>> paths = bg.draw_future_purchases(params, [0, 2], [0, 30.43], [38.86, 38.86], horizon=39, rng=1, draws=5)
        >>> paths.count.shape
        (5, 2)
        """
        x, t_x, length = checked_history(frequency, recency, T)
        return future_paths(
            p_alive=self._p_alive(params, x, t_x, length),
            shape=params.r + x,
            rate=params.alpha + length,
            dropout=(params.a, params.b + x + self.initial),
            horizon=horizon,
            rng=rng,
            draws=draws,
            stays=stays,
        )

    def simulate(self, params: Params, T: ArrayLike, *, rng: RandomSource) -> FuturePurchases:
        """Simulate new customers from their first purchase, at time 0, to ``T``.

        Parameters
        ----------
        params : Params
            Each field scalar or broadcasting to (draw, customer).
        T : array_like, shape (customer,)
        rng : int, numpy Generator or KeyedStreams

        Returns
        -------
        FuturePurchases
            Its ``summary()`` gives frequency and recency.

        Raises
        ------
        DomainError
            If ``T`` is negative or not finite.

        Examples
        --------
        >>> bg = BetaGeometric(initial=0)
        >>> frequency, recency = bg.simulate(Params(0.243, 4.414, 0.793, 2.426), [30.0, 38.0], rng=1).summary()
        >>> frequency.shape
        (1, 2)
        """
        length = non_negative("T", T)
        nothing = np.zeros_like(length)
        return self.draw_future_purchases(params, nothing, nothing, nothing, horizon=length, rng=rng)

    def _log_odds_left(self, params: Params, frequency: Floats, recency: Floats, T: Floats) -> Floats:
        """Log-odds of having left by ``T``; minus infinity where no chance to leave has passed."""
        chances = frequency + self.initial
        silent = (params.r + frequency) * np.log1p((T - recency) / (params.alpha + recency))
        left = np.log(params.a) - np.log(params.b + np.maximum(chances, 1.0) - 1.0) + silent
        return np.where(chances > 0.0, left, -np.inf)

    def _p_alive(self, params: Params, frequency: Floats, recency: Floats, T: Floats) -> Floats:
        return np.asarray(expit(-self._log_odds_left(params, frequency, recency, T)))

    def _purchases(self, params: Params, frequency: Floats, T: Floats, horizon: Floats, discount: Floats) -> Floats:
        """Discounted expected purchases in ``(T, T + horizon]`` of a customer alive at ``T``."""
        s, beta = params.r + frequency, params.alpha + T
        b = params.b + frequency + self.initial
        return s * power_integral_average(params.a, b, horizon / beta, s + 1.0, discount * beta)

    def _log_weight_of_count(self, params: Params, frequency: Floats) -> Floats:
        """Rising factorials of a customer alive; once per distinct frequency where all have the same parameters."""
        shared = all(np.shape(field)[-1:] in ((), (1,)) for field in (params.r, params.a, params.b))
        if frequency.ndim != 1 or not shared:
            return self._rising_factorials(params, frequency)
        distinct, row = np.unique(frequency, return_inverse=True)
        return np.take(self._rising_factorials(params, distinct), row, axis=-1)

    def _rising_factorials(self, params: Params, frequency: Floats) -> Floats:
        chances = frequency + self.initial
        survived = log_rising(params.b, chances) - log_rising(params.a + params.b, chances)
        return log_rising(params.r, frequency) + survived


def _times_alive(alive: Floats, given_alive: Floats) -> Floats:
    """Multiply by the probability of being alive, keeping an infinite expectation infinite."""
    product = np.full(np.broadcast_shapes(alive.shape, given_alive.shape), np.inf)
    np.multiply(alive, given_alive, out=product, where=np.isfinite(given_alive))
    return product
