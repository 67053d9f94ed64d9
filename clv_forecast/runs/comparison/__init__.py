"""Two runs side by side: where value went, what drifted, and how old forecasts did."""
