"""What an instruction that a program can check is made of: an id, named arguments, and a function that decides.

    Rule("length_constraints:number_words", has_words, {"num_words": COUNT, "relation": RELATION})
    rule.follows("one two three", num_words=3, relation="at least")  ->  True

Arguments come from the data, so a bad one is a SourceError. Answers come from a model, so a rule takes any text, never
raises, and takes time that grows with the text's length, not with its square.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mixgrid.errors import SourceError
from mixgrid.sources.files import shown


@dataclass(frozen=True)
class Argument:
    """A kind of argument: what is allowed, as an error says it, and the test of it."""

    allowed: str
    accepts: Callable[[object], bool]


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_phrase(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_list_of_phrases(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(_is_phrase(item) for item in value)


COUNT = Argument("a whole number from 0", _is_count)
POSITION = Argument("a whole number from 1", lambda value: _is_count(value) and value != 0)
RELATION = Argument("'less than' or 'at least'", lambda value: value in ("less than", "at least"))
PHRASE = Argument("text that is not blank", _is_phrase)
PHRASES = Argument("a list of texts that are not blank", _is_list_of_phrases)
CHARACTER = Argument("one character", lambda value: isinstance(value, str) and len(value) == 1)


@dataclass(frozen=True)
class Rule:
    """One verifiable instruction. `follows(answer, **arguments)` takes any answer and the arguments by name."""

    id: str
    follows: Callable[..., bool]
    arguments: Mapping[str, Argument] = field(default_factory=dict)

    def read_arguments(self, given: Mapping[str, object]) -> dict[str, object]:
        """The arguments of this rule; None counts as not given, as tables with one column an argument hold it.

        Raises SourceError for one that is missing, unknown or not of its kind.
        """
        known = ", ".join(self.arguments) or "none"
        present = {name: value for name, value in given.items() if value is not None}
        for name, value in present.items():
            if name not in self.arguments:
                raise SourceError(f"{self.id}: unknown argument {shown(name)}; allowed: {known}")
            if not self.arguments[name].accepts(value):
                allowed = self.arguments[name].allowed
                raise SourceError(f"{self.id}: {name} is {shown(value)}; it must be {allowed}")
        missing = [name for name in self.arguments if name not in present]
        if missing:
            raise SourceError(
                f"{self.id}: no {' and no '.join(missing)} in {shown(dict(given))}; use IFEval's own rows"
            )
        return present


def holds(count: int, relation: str, threshold: int) -> bool:
    """`less than` excludes the threshold, `at least` includes it: these two are all that the data has."""
    return count < threshold if relation == "less than" else count >= threshold
