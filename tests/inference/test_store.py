import json
import shutil

import numpy as np
import pandas as pd
import pytest

import clv_forecast as clv
from clv_forecast.errors import StoreError
from clv_forecast.inference import storage
from clv_forecast.inference.storage import load_model


@pytest.fixture
def folder(model, tmp_path):
    clv.save(model, tmp_path / "model")
    return tmp_path / "model"


def edit(folder, change, *, seal=False):
    """Change the manifest; ``seal`` makes its checksum true again."""
    path = folder / "model.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    if seal:
        manifest["checksum"] = storage._checksum(manifest)
    path.write_text(json.dumps(manifest))


def test_a_loaded_model_is_the_same_to_the_last_bit(model, folder):
    loaded = load_model(folder)
    pd.testing.assert_frame_equal(loaded.draws.to_frame(), model.draws.to_frame(), check_exact=True)
    pd.testing.assert_frame_equal(loaded.parameters, model.parameters, check_exact=True)
    pd.testing.assert_frame_equal(loaded.report.alternatives, model.report.alternatives, check_exact=True)
    for name in ("purchases", "spend", "method", "unit", "currency", "as_of", "spend_from", "spend_level", "seed"):
        assert getattr(loaded, name) == getattr(model, name), name
    assert (loaded.time_scale, loaded.money_scale) == (model.time_scale, model.money_scale)
    assert [float(getattr(loaded.estimate, n)) for n in ("r", "alpha", "a", "b")] == [
        float(getattr(model.estimate, n)) for n in ("r", "alpha", "a", "b")
    ]
    assert float(loaded.spend_estimate.v) == float(model.spend_estimate.v)
    assert str(loaded) == str(model)
    for part, original in zip(loaded.report.parts, model.report.parts, strict=True):
        pd.testing.assert_frame_equal(part.correlations, original.correlations, check_exact=True)
        assert (part.status, part.aic, part.k_hat) == (original.status, original.aic, original.k_hat)


def test_missing_errors_and_absent_spend_survive(loyal_model, tmp_path):
    clv.save(loyal_model, tmp_path / "m")
    loaded = load_model(tmp_path / "m")
    assert loaded.spend is None
    assert loaded.draws.spend is None
    assert np.isnan(loaded.parameters["standard_error"]).any()
    pd.testing.assert_frame_equal(loaded.parameters, loyal_model.parameters, check_exact=True)
    assert loaded.report.purchases.k_hat == loyal_model.report.purchases.k_hat


def test_no_pickle_and_nothing_left_aside(folder):
    assert sorted(path.name for path in folder.iterdir()) == ["draws.nc", "model.json"]
    assert [path.name for path in folder.parent.iterdir()] == ["model"]
    assert (folder / "draws.nc").read_bytes()[:3] == b"CDF"


def test_saving_again_replaces(model, loyal_model, folder):
    clv.save(loyal_model, folder)
    assert load_model(folder).spend is None
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_saving_over_something_else_is_refused(model, tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file.txt").write_text("keep me")
    with pytest.raises(StoreError, match="another folder"):
        clv.save(model, tmp_path / "precious")
    assert (tmp_path / "precious" / "file.txt").read_text() == "keep me"


def test_a_failed_save_leaves_the_older_model(model, folder, monkeypatch):
    def full(*_):
        raise OSError("no space left")

    before = (folder / "model.json").read_bytes()
    monkeypatch.setattr(storage, "_to_netcdf", full)
    with pytest.raises(StoreError, match="no space left"):
        clv.save(model, folder)
    assert (folder / "model.json").read_bytes() == before
    assert [path.name for path in folder.parent.iterdir()] == ["model"]
    load_model(folder)


def test_no_folder(tmp_path):
    with pytest.raises(StoreError, match="no saved model at this path"):
        load_model(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["model.json", "draws.nc"])
def test_a_missing_file(folder, name):
    (folder / name).unlink()
    with pytest.raises(StoreError, match=f"(?s){name}.*fit the model again"):
        load_model(folder)


@pytest.mark.parametrize("name", ["model.json", "draws.nc"])
def test_a_truncated_file(folder, name):
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(StoreError, match="fit the model again"):
        load_model(folder)


def test_one_changed_byte_of_the_draws(folder):
    data = bytearray((folder / "draws.nc").read_bytes())
    data[-10] ^= 1
    (folder / "draws.nc").write_bytes(bytes(data))
    with pytest.raises(StoreError, match="checksum"):
        load_model(folder)


def test_a_changed_number_in_the_manifest(folder):
    edit(folder, lambda manifest: manifest["content"].update(time_scale=1.0))
    with pytest.raises(StoreError, match="checksum"):
        load_model(folder)


def test_another_schema_version(folder):
    edit(folder, lambda manifest: manifest.update(schema_version=99), seal=True)
    with pytest.raises(
        StoreError, match=r"schema versions 1 and 2\. Got: 99, written by .*numpy.*Load it with the package version"
    ):
        load_model(folder)


def test_another_kind_of_folder(folder):
    edit(folder, lambda manifest: manifest.update(kind="recipe"), seal=True)
    with pytest.raises(StoreError, match="something other"):
        load_model(folder)


@pytest.mark.parametrize("field", ["estimate", "report", "unit"])
def test_a_field_that_is_missing_under_a_true_checksum(folder, field):
    edit(folder, lambda manifest: manifest["content"].pop(field), seal=True)
    with pytest.raises(StoreError, match="every field"):
        load_model(folder)


def test_a_parameter_out_of_its_domain_under_a_true_checksum(folder):
    edit(folder, lambda manifest: manifest["content"]["estimate"].update(r=-1.0), seal=True)
    with pytest.raises(StoreError, match="every field"):
        load_model(folder)


def test_a_copied_folder_loads(model, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    assert load_model(tmp_path / "copy").draws.n_draws == model.draws.n_draws
