import pytest

from clv_forecast.errors import DomainError
from clv_forecast.models import TRANSACTION_MODELS, TransactionModel, transaction_model

NAMES = [name for name in vars(TransactionModel) if not name.startswith("_")]


@pytest.mark.parametrize("name", TRANSACTION_MODELS)
def test_every_model_offers_every_name(name):
    model = transaction_model(name)
    assert len(NAMES) == 24
    assert set(NAMES) <= set(model.__all__)
    assert all(hasattr(model, each) for each in NAMES)
    assert len(model.PARAMETERS) == len(model.UNCONSTRAINED) == 4
    assert model.future_key == ("frequency", "T")


def test_unknown_model():
    with pytest.raises(DomainError, match=r"'bgnbd'.*Known: bg_nbd, mbg_nbd, pareto_nbd"):
        transaction_model("bgnbd")
