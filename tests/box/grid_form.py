"""The form of the deployment `mixgrid/grid`, filled in as a person fills it in.

fill_form(browser, box, {"study": "demo", "only": ["dmt"], "seeds": [0], "answer": ""})
"""

from collections.abc import Mapping, Sequence

from browser import Browser
from cluster_box import Box


def fill_form(browser: Browser, box: Box, fields: Mapping[str, str | Sequence[object]]) -> None:
    """Go there from the list of deployments, by its links; a text replaces what is in its field, a list is added."""
    browser.open(f"{box.ui}/deployments")
    browser.click("grid")
    browser.click("Run")
    browser.click("Custom run")
    for name, value in fields.items():
        label = name if name == "study" else f"{name} (Optional)"
        if isinstance(value, str):
            browser.fill(label, value)
            continue
        for number, item in enumerate(value):
            browser.click("Add item", after=label)
            browser.fill(label, str(item), nth=number)


def submit(browser: Browser, box: Box) -> str:
    """Press the button and go to the run; returns its id."""
    before = {run["id"] for run in box.grid_runs()}
    browser.click("Submit")
    browser.click("View run")
    (run,) = [run["id"] for run in box.grid_runs() if run["id"] not in before]
    return str(run)
