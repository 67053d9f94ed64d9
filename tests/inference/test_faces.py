import numpy as np
import pytest

from clv_forecast.inference.maximum_likelihood import box
from clv_forecast.models import TRANSACTION_MODELS, gamma_gamma, names_of

MODELS = [*TRANSACTION_MODELS.values(), gamma_gamma]


@pytest.mark.parametrize("module", MODELS, ids=lambda module: module.__name__.rsplit(".", 1)[-1])
def test_the_box_holds_all_the_prior_allows_and_the_model_takes_its_corners(module):
    lower, upper = box(names_of(module.COORDINATES))
    location, scale = module.prior_location_scale(*(1.0,) * (1 if module is gamma_gamma else 2))
    assert (lower < location - 3.5 * scale).all()
    assert (upper > location + 3.5 * scale).all()
    for corner in np.ndindex(*(2,) * lower.size):
        params = module.constrain(np.where(np.array(corner) == 1, upper, lower))
        assert all(float(getattr(params, name)) > 0 for name in module.PARAMETERS)


def test_what_a_limit_says_is_said_at_both_or_neither():
    """A mean of rate or money has no limit of its own; all else does, and no words stand for two coordinates."""
    coordinates = {each.name: each for module in MODELS for each in module.COORDINATES}
    assert {name for name, each in coordinates.items() if not each.at_lower} == {"log_rate", "log_mean_spend"}
    assert all(bool(each.at_lower) == bool(each.at_upper) for each in coordinates.values())
    words = [text for each in coordinates.values() for text in (each.at_lower, each.at_upper) if text]
    assert len(set(words)) == len(words)
