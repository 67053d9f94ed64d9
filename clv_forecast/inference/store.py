"""Saved models: `load_model` reads what ``model.save`` wrote."""

from __future__ import annotations

import os

from clv_forecast.errors import ClvForecastError, StoreError
from clv_forecast.inference.archive import read_archive
from clv_forecast.inference.encoding import decode_model
from clv_forecast.inference.model import Model


def load_model(folder: str | os.PathLike[str]) -> Model:
    """Read a saved model; its draws, and so its forecasts, are the same to the last byte.

    Parameters
    ----------
    folder : path
        What was given to ``model.save``.

    Returns
    -------
    Model

    Raises
    ------
    StoreError
        If the folder is missing, a file is missing, cut short or changed, or the schema version is another.
    """
    content, arrays = read_archive(folder)
    try:
        return Model(**decode_model(content, arrays))
    except (KeyError, ValueError, TypeError, ClvForecastError) as error:
        raise StoreError(
            "A saved model must hold every field of a model.",
            value=f"{type(error).__name__}: {error}",
            remedy="Fit the model again and save it.",
        ) from error
