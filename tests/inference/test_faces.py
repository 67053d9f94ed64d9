import numpy as np
import pytest

from clv_forecast.inference.maximum_likelihood import FACES, box
from clv_forecast.models import TRANSACTION_MODELS, gamma_gamma

MODELS = [*TRANSACTION_MODELS.values(), gamma_gamma]
COORDINATES = {name for module in MODELS for name in module.UNCONSTRAINED}


@pytest.mark.parametrize("module", MODELS, ids=lambda module: module.__name__.rsplit(".", 1)[-1])
def test_the_box_holds_all_the_prior_allows_and_the_model_takes_its_corners(module):
    lower, upper = box(module.UNCONSTRAINED)
    location, scale = module.prior_location_scale(*(1.0,) * (2 if "log_rate" in module.UNCONSTRAINED else 1))
    assert (lower < location - 3.5 * scale).all()
    assert (upper > location + 3.5 * scale).all()
    for corner in np.ndindex(*(2,) * lower.size):
        params = module.constrain(np.where(np.array(corner) == 1, upper, lower))
        assert all(float(getattr(params, name)) > 0 for name in module.PARAMETERS)


def test_every_face_belongs_to_a_coordinate_of_a_model():
    assert {name for name, _ in FACES} <= COORDINATES
    assert {side for _, side in FACES} == {-1, 1}
