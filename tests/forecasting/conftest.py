"""One history and one small model per transaction model, shared by the tests of the forecast."""

import numpy as np
import pandas as pd
import pytest

import clv_forecast as clv

AS_OF = "1997-09-30"
MODELS = ("bg_nbd", "mbg_nbd", "pareto_nbd")


@pytest.fixture(scope="session")
def transactions():
    return clv.load_cdnow("1/10")


@pytest.fixture(scope="session")
def third(transactions):
    """Every third customer: enough for what must hold of every table."""
    ids = transactions["customer_id"].unique()
    return transactions[transactions["customer_id"].isin(ids[::3])]


@pytest.fixture(scope="session")
def history(third):
    ids = third["customer_id"].unique()
    customers = pd.DataFrame(
        {
            "customer_id": ids,
            "region": np.where(ids % 3 == 0, "north", "south"),
            "margin_rate": np.where(ids % 2 == 0, 0.4, 0.2),
            "written": "30%",
            "comma": "0,35",
            "everyone": "all",
        }
    )
    return clv.purchase_history(third, as_of=AS_OF, unit="week", customers=customers)


@pytest.fixture(scope="session")
def models(history):
    return {name: clv.fit(history, purchases=name, draws=400, compare=False) for name in MODELS}


@pytest.fixture(scope="session")
def model(models):
    return models["bg_nbd"]
