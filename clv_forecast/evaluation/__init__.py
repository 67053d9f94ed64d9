"""How good the forecasts are: scores, baselines, backtests and the certificate."""
