"""Saved models: `save` writes one to a folder, `load_model` reads it back."""

from __future__ import annotations

import os

from clv_forecast.errors import ClvForecastError, StoreError
from clv_forecast.inference.archive import read_archive, write_archive
from clv_forecast.inference.encoding import decode_model, encode_model
from clv_forecast.inference.model import Model


def save(model: Model, folder: str | os.PathLike[str]) -> None:
    """Write a model to a folder, in one step; `load_model` reads it back.

    Parameters
    ----------
    model : Model
    folder : path
        Replaced if it holds a saved model; parents are made.

    Raises
    ------
    StoreError
        If the folder exists and is not a saved model, or cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import clv_forecast as clv
    >>> history = clv.purchase_history(clv.load_cdnow(sample="1/10"), as_of="1997-09-30", unit="week")
    >>> model = clv.fit(history, spend=None, draws=100)
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     clv.save(model, f"{parent}/model")
    ...     again = clv.load_model(f"{parent}/model")
    >>> again.parameters.equals(model.parameters)
    True
    """
    write_archive(folder, *encode_model(model))


def load_model(folder: str | os.PathLike[str]) -> Model:
    """Read a saved model; its draws, and so its forecasts, are the same to the last byte.

    Parameters
    ----------
    folder : path
        What was given to `save`.

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
