from dataclasses import replace

from clv_forecast.inference.report import FitStatus


def test_the_status_is_the_worst_of_the_parts(model):
    report = model.report
    assert report.status is FitStatus.CONVERGED
    for worse in (FitStatus.RIDGE, FitStatus.BOUNDARY, FitStatus.FAILED):
        assert replace(report, spend=replace(report.spend, status=worse)).status is worse
        assert replace(report, purchases=replace(report.purchases, status=worse)).status is worse


def test_text_holds_every_message_note_and_number_that_matters(model, loyal_model):
    text = str(model.report)
    assert text.startswith("Fit: converged, 1,500 customers")
    for expected in (*(part.message for part in model.report.parts), *model.report.notes):
        assert expected in text
    assert f"{model.report.log_likelihood:,.3f}" in text
    assert f"k-hat {loyal_model.report.purchases.k_hat:.2f}" in str(loyal_model.report)


def test_information_criteria_belong_to_the_purchases(model):
    assert model.report.aic == 8.0 - 2.0 * model.report.log_likelihood
    assert model.report.bic == model.report.purchases.bic
    assert model.report.spend.aic == 6.0 - 2.0 * model.report.spend.log_likelihood


def test_correlations_are_named_by_coordinate(model):
    table = model.report.purchases.correlations
    assert table.columns.tolist() == ["log_rate", "log_shape", "logit_dropout", "log_concentration"]
    assert (abs(table.to_numpy().diagonal() - 1.0) < 1e-12).all()
    assert abs(table.to_numpy()).max() <= 1.0 + 1e-12


def test_one_line_stands_for_a_report(model, loyal_model):
    assert repr(model.report) == "<FitReport bg_nbd + gamma_gamma: converged, 1,500 customers>"
    assert repr(loyal_model.report) == "<FitReport bg_nbd: boundary, 400 customers>"
    assert repr(loyal_model.report.purchases) == "<PartReport bg_nbd: boundary, 400 customers>"


def test_a_notebook_shows_the_text_escaped(loyal_model):
    html = loyal_model.report._repr_html_()
    assert html.startswith("<pre>Fit: boundary")
    assert "-&gt; 0" in html
