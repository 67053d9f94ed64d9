import numpy as np
import pytest

from clv_forecast.inference.fit import fit
from tests.inference.simulated import simulate_purchases, simulate_spend, summary


@pytest.fixture(scope="session")
def order_history():
    """1,500 simulated customers whose single orders are known."""
    rng = np.random.default_rng(11)
    frequency, recency, T = simulate_purchases(rng, 1500, r=0.6, alpha=5.0, a=0.8, b=2.5, length=70.0)
    counts, total, sum_log = simulate_spend(rng, frequency, p=6.0, q=4.0, v=15.0)
    spread = {name: np.zeros(frequency.size) for name in ("n", "total", "sum_log")}
    for name, values in zip(spread, (counts, total, sum_log), strict=True):
        spread[name][frequency > 0] = values
    return summary(frequency, recency, T, **spread)


@pytest.fixture(scope="session")
def model(order_history):
    return fit(order_history, draws=500, rng=7)


@pytest.fixture(scope="session")
def loyal_history():
    """400 customers who never leave."""
    rng = np.random.default_rng(12)
    frequency, recency, T = simulate_purchases(rng, 400, r=2.0, alpha=5.0, a=0.0, b=1.0, length=60.0)
    return summary(frequency, recency, T)


@pytest.fixture(scope="session")
def loyal_model(loyal_history):
    return fit(loyal_history, spend=None, draws=400, compare=False)
