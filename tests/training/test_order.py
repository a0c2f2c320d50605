"""Which examples each optimiser step sees: counted by hand, and as properties."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from mixgrid.recipe import Budget, Recipe
from mixgrid.training.order import BatchOrder, example_order


def _order(examples: int, *, batch_size: int, epochs: int | None = None, budget: Budget | None = None) -> BatchOrder:
    recipe = Recipe(
        epochs=epochs, budget=budget, batch_size=batch_size, peak_learning_rate=1e-3, warmup_ratio=0, schedule="cosine"
    )
    return BatchOrder(examples=examples, recipe=recipe, seed=7)


def _batches(order: BatchOrder) -> list[list[int]]:
    return [order.batch(step).tolist() for step in range(order.total_steps)]


def test_example_order_is_the_same_on_every_machine_and_day() -> None:
    # a pinned value: if it changes, so does every trained checkpoint
    assert example_order(6, seed=0, epoch=0).tolist() == [3, 2, 5, 4, 0, 1]
    assert example_order(6, seed=0, epoch=1).tolist() == [1, 4, 3, 0, 2, 5]


def test_example_order_differs_between_epochs_and_seeds() -> None:
    orders = {tuple(example_order(50, seed=seed, epoch=epoch).tolist()) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9


@given(examples=st.integers(1, 200), size=st.integers(1, 64), epochs=st.integers(1, 3))
def test_batches_of_epochs_cover_each_example_once_an_epoch(examples: int, size: int, epochs: int) -> None:
    order = _order(examples, batch_size=size, epochs=epochs)
    batches = _batches(order)
    shown = [i for batch in batches for i in batch]
    assert all(sorted(shown[e * examples : (e + 1) * examples]) == list(range(examples)) for e in range(epochs))
    full = [len(batch) == size for batch in batches]
    assert full.count(False) == (epochs if examples % size else 0)


@given(examples=st.integers(1, 60), size=st.integers(1, 20), shown=st.integers(1, 200))
def test_budget_of_examples_shows_exactly_so_many_in_the_order_of_epochs(examples: int, size: int, shown: int) -> None:
    by_budget = [i for b in _batches(_order(examples, batch_size=size, budget=Budget(examples=shown))) for i in b]
    by_epochs = [i for b in _batches(_order(examples, batch_size=size, epochs=200)) for i in b]
    assert by_budget == by_epochs[:shown]


def test_budget_of_steps_goes_through_as_many_epochs_as_it_needs() -> None:
    # 10 examples at 4 a batch: 4, 4, 2 an epoch
    order = _order(10, batch_size=4, budget=Budget(steps=8))
    assert [len(order.batch(step)) for step in range(order.total_steps)] == [4, 4, 2, 4, 4, 2, 4, 4]
    assert order.batch(3).tolist() == example_order(10, seed=7, epoch=1)[:4].tolist()


def test_share_of_a_stage_is_its_first_steps_rounded_up() -> None:
    order = _order(10, batch_size=4, epochs=3)
    assert [order.steps_until(Fraction(share)) for share in ("1/100", "1/4", "1/2", "1")] == [1, 3, 5, 9]
