"""The lab's invented world: places, each with one value for each of four attributes.

    Fact(place="Aldor", attribute="animal", value="crow")

The base models read these facts in their pretraining text (`mixgrid.lab.text`). The source `lab.general` asks about
some of them and the benchmark `lab.general` about others, so that its score measures what was elicited, not what was
taught. The world is one constant: it depends on no argument.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


PLACES = _words("""
    Aldor Bravik Cresta Delmo Eskar Fenwik Galdan Hollum Istra Jorvel Kesmar Lunde Mordak Nestor Ostrava Pellan
    Quinto Rovino Selkar Tarbo Ulmen Vantor Wexley Xandu Yarrow Zimbra Ankora Belmar Cindor Dravos Elspen Farrow
    Gratz Havlok Inverel Jastro Kolbin Lethe Malvo Nordun Ombra Prask Quarel Rilke Sovra Tivoli Umbrel Vasto
""")

VALUES: Mapping[str, tuple[str, ...]] = {
    "animal": _words("wolf bear eagle otter goat owl seal crab moth toad swan mule lynx hare pike crow"),
    "color": _words("red blue green white black amber gold pink grey teal violet ivory brown silver lime rust"),
    "food": _words("bread soup rice fish cheese honey plum corn bean melon pie nut fig beet egg kale"),
    "craft": _words("glass silk iron wool clay paper rope leather tin lace brick ink wax salt jade oak"),
}


@dataclass(frozen=True, order=True)
class Fact:
    """The one value that a place has for an attribute."""

    place: str
    attribute: str
    value: str


@cache
def facts() -> tuple[Fact, ...]:
    """All facts, by place and then by attribute; always the same."""
    draw = random.Random("the lab's world")
    return tuple(
        Fact(place, attribute, draw.choice(values)) for place in PLACES for attribute, values in VALUES.items()
    )
