"""The report of an annotation: figures of an output's parts and calls, as a page."""
