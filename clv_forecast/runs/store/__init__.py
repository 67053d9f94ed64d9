"""Where scheduled runs lie: one at a time writes them, one is shown, and rows of them stand in a database."""
