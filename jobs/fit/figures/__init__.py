"""Figures of a head on a part: measures with intervals, near duplicates of fitted rows."""
