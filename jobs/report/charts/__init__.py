"""The charts of a page: a Vega-Lite specification, a table of the same figures and a description for each kind."""
