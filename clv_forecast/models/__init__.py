"""The probability models, as pure functions of arrays with the same names in every module."""
