"""How good the forecasts are: scores, naive forecasts, backtests and the certificate.

One origin is fitted, forecast and scored as if on its day; several make a certificate with a verdict in words, and
comparisons and stacks of models. Reports and scheduled runs call it, and forecasts take its shock and evidence.
"""
