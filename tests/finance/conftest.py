"""One forecast of every third customer of CDNOW's tenth, and one simulated base with costs, made once."""

from __future__ import annotations

import pytest

import clv_forecast as clv


@pytest.fixture(scope="session")
def history():
    log = clv.load_cdnow("1/10")
    ids = log["customer_id"].unique()
    few = log[log["customer_id"].isin(ids[::3])]
    regions = few.drop_duplicates("customer_id")[["customer_id"]]
    regions = regions.assign(region=["north" if i % 2 else "south" for i in range(len(regions))])
    return clv.purchase_history(few, as_of="1998-06-30", observed_from="1997-01-01", customers=regions)


@pytest.fixture(scope="session")
def model(history):
    return clv.fit(history, draws=200, compare=False)


@pytest.fixture(scope="session")
def forecast(model, history):
    return clv.forecast(model, history, horizons=["6 months", "12 months"], draws=200)


@pytest.fixture(scope="session")
def accounts():
    return clv.simulate_accounts(150, rng=3, growing=0.8)


@pytest.fixture(scope="session")
def costly(accounts):
    """A forecast in which some accounts lose money."""
    history = clv.purchase_history(
        accounts.transactions,
        as_of=accounts.as_of,
        customers=accounts.accounts,
        order_id="order_id",
        category="category",
        margin="margin",
    )
    model = clv.fit(history, draws=200, compare=False)
    return clv.forecast(
        model, history, horizons=["12 months"], margin="margin", cost_to_serve="cost_to_serve", draws=200
    )


@pytest.fixture(scope="session")
def potential(costly):
    return clv.potential(costly.history, costly)
