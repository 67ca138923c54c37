"""The pictures of a comparison: SVG to be put into an HTML page as it is, without script."""

from core.report.comparison_plots.blocks import blocks_plot
from core.report.comparison_plots.distributions import distribution_plot
from core.report.comparison_plots.intervals import interval_plot
from core.report.comparison_plots.rates import throughput_plot

__all__ = ["blocks_plot", "distribution_plot", "interval_plot", "throughput_plot"]
