import inspect

import pytest

from clv_forecast.errors import DomainError
from clv_forecast.models import TRANSACTION_MODELS, TransactionModel, transaction_model

NAMES = {name for name in vars(TransactionModel) if not name.startswith("_")}


@pytest.mark.parametrize("name", TRANSACTION_MODELS)
def test_a_model_offers_the_names_of_the_protocol_and_no_others(name):
    model = transaction_model(name)
    assert set(model.__all__) == NAMES
    assert all(hasattr(model, each) for each in NAMES)
    assert len(model.PARAMETERS) == len(model.COORDINATES)
    assert set(model.TIME_PARAMETERS) < set(model.PARAMETERS)
    assert model.future_key == ("frequency", "T")


@pytest.mark.parametrize("name", TRANSACTION_MODELS)
@pytest.mark.parametrize("function", sorted(name for name in NAMES if inspect.isfunction(vars(TransactionModel)[name])))
def test_a_function_takes_the_arguments_of_the_protocol(name, function):
    asked = list(inspect.signature(vars(TransactionModel)[function]).parameters)[1:]
    offered = inspect.signature(getattr(transaction_model(name), function)).parameters
    assert list(offered)[: len(asked)] == asked
    assert all(offered[extra].default is not inspect.Parameter.empty for extra in list(offered)[len(asked) :])


def test_titles_differ():
    assert [TRANSACTION_MODELS[name].TITLE for name in ("bg_nbd", "mbg_nbd", "pareto_nbd")] == [
        "BG/NBD",
        "MBG/NBD",
        "Pareto/NBD",
    ]


@pytest.mark.parametrize("name", TRANSACTION_MODELS)
def test_time_parameters_scale_with_the_unit(name):
    """In days instead of weeks they are seven times as large, the others as they were."""
    model = transaction_model(name)
    values = dict(zip(model.PARAMETERS, (0.6, 4.0, 0.8, 2.5), strict=True))
    days = {key: value * (7.0 if key in model.TIME_PARAMETERS else 1.0) for key, value in values.items()}
    weeks, scaled = model.Params(**values), model.Params(**days)
    assert model.p_alive(scaled, 2, 140.0, 280.0) == pytest.approx(model.p_alive(weeks, 2, 20.0, 40.0), rel=1e-12)


def test_unknown_model():
    with pytest.raises(DomainError, match=r"'bg_bb'.*Known: bg_nbd, mbg_nbd, pareto_nbd"):
        transaction_model("bg_bb")
