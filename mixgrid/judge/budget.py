"""The budget: what judging may cost, reserved before a call is sent and settled when it comes back.

    meter = Meter(JudgeRuntime(budget_calls=160, budget=2.0, price_in=10, price_out=30))
    await meter.reserve(worst)   -> False once a further call could exceed the budget: from then on nothing is sent

Calls under way count at their longest, so that no number of calls at once exceeds a budget. One that cannot be
afforded beside them waits until they are settled. What a provider bills for an attempt that broke off is unknown, and
not metered; a reply without a count of its tokens is metered at its longest.
"""

import asyncio
from dataclasses import dataclass

from mixgrid.judge.settings import JudgeRuntime


@dataclass(frozen=True)
class Tokens:
    """Tokens of a request and of its reply."""

    prompt: int = 0
    completion: int = 0

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(self.prompt + other.prompt, self.completion + other.completion)


NO_TOKENS = Tokens()


@dataclass(frozen=True)
class Spending:
    """What was really sent: calls that took something from the cache are not in it."""

    calls: int
    tokens: Tokens
    money: float


class Meter:
    """Counts calls, tokens and money; after `stop`, or once the budget is spent, it grants nothing."""

    def __init__(self, runtime: JudgeRuntime) -> None:
        self._runtime = runtime
        self._calls = 0
        self._tokens = NO_TOKENS
        self._reserved: list[Tokens] = []
        self._settled = asyncio.Condition()
        self.stopped = False

    @property
    def spent(self) -> Spending:
        """So far; money at the given prices."""
        return Spending(self._calls, self._tokens, self._price(self._tokens))

    def stop(self) -> None:
        """Send nothing more; calls under way come back and are kept."""
        self.stopped = True

    async def reserve(self, worst: Tokens) -> bool:
        """Take one call of at most these tokens out of the budget, or False; each True needs a `settle`."""
        async with self._settled:
            while not self.stopped and not self._affords(worst):
                if not self._reserved:
                    self.stop()
                    break
                await self._settled.wait()
            if self.stopped:
                return False
            self._calls += 1
            self._reserved.append(worst)
            return True

    async def settle(self, worst: Tokens, used: Tokens) -> None:
        """Replace a reservation by what the call took; nothing for one that failed."""
        async with self._settled:
            self._reserved.remove(worst)
            self._tokens += used
            self._settled.notify_all()

    def _affords(self, worst: Tokens) -> bool:
        calls, money = self._runtime.budget_calls, self._runtime.budget
        if calls is not None and self._calls >= calls:
            return False
        # a rounding error must not cost the last call
        return money is None or self._price(sum(self._reserved, self._tokens) + worst) <= money * (1 + 1e-9)

    def _price(self, tokens: Tokens) -> float:
        runtime = self._runtime
        return (tokens.prompt * runtime.price_in + tokens.completion * runtime.price_out) / 1e6
