"""The report: one HTML page that opens anywhere, without scripts or a network.

render_report(study="demo", question="...", rows=rows, complete=True)  ->  "<!doctype html>..."
"""

from mixgrid.report.page import render_report

__all__ = ["render_report"]
