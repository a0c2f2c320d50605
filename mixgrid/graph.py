"""From cells to steps: the graph that all cells of a study share.

graph = Graph(study, lock)
graph.final(cell)          -> the sft step of the cell's last stage; equal trainings are one object
graph.scores(checkpoint, model, experiments)   -> its score steps, one a benchmark that asks these experiments
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import cached_property

from mixgrid.abilities import BenchmarkChoice, SourceChoice
from mixgrid.benchmarks import Benchmark, load_benchmarks
from mixgrid.cells import Cell
from mixgrid.errors import InputError, StudyError
from mixgrid.filters import FILTERED
from mixgrid.pins import Lock, PinnedModel, PinnedSource, pin_model, pin_source
from mixgrid.runtime import StudyRuntime
from mixgrid.step import Step
from mixgrid.steps.answer import AnswerRuntime, AnswerSettings, answer
from mixgrid.steps.base import BaseRuntime, base
from mixgrid.steps.download import download
from mixgrid.steps.mix import mix
from mixgrid.steps.represent import RepresentSettings, represent
from mixgrid.steps.score import ScoreRuntime, ScoreSettings, score
from mixgrid.steps.sft import WHOLE, SftSettings, sft
from mixgrid.steps.subsample import SubsampleSettings, subsample, subset_size
from mixgrid.steps.tokenize import TokenizeSettings, tokenize
from mixgrid.steps.tokenizer import tokenizer
from mixgrid.store import Store
from mixgrid.strategies import Stage, Stages
from mixgrid.study import Study


class Graph:
    """Builds each step once. `steps` holds all of them by key, inputs before what needs them."""

    def __init__(
        self, study: Study, lock: Lock, store: Store | None = None, runtime: StudyRuntime | None = None
    ) -> None:
        """A store, where there is one, knows the sizes of sources that were downloaded before."""
        self.study = study
        self.runtime = runtime or StudyRuntime()
        self.lock = lock
        self.store = store
        self.steps: dict[str, Step] = {}
        self._built: dict[object, Step] = {}

    @cached_property
    def sources(self) -> dict[str, PinnedSource]:
        """Each ability's source, pinned."""
        pinned = {}
        for name, ability in self.study.abilities.items():
            with self._field(f"abilities.{name}.source"):
                pinned[name] = pin_source(ability.source, self.lock)
        return pinned

    @cached_property
    def models(self) -> dict[str, PinnedModel]:
        """Each model, pinned."""
        study, pinned = self.study, {}
        for m in study.models:
            with self._field(f"models.{m.name}"):
                pinned[m.name] = pin_model(m, template=study.template, base_seed=study.base_seed, lock=self.lock)
        return pinned

    @cached_property
    def rows(self) -> dict[str, int | None]:
        """Each ability's training rows: as downloaded before, else by reading what is at hand, else as declared."""
        sizes: dict[str, int | None] = {}
        for name, pinned in self.sources.items():
            record = self.store.find(self.download(name)) if self.store else None
            with self._field(f"abilities.{name}.source"):
                sizes[name] = int(record.ledger["rows"]) if record else pinned.count()
        return sizes

    def rows_of(self, source: str) -> int | None:
        """The training rows of a stage's source; of a filtered one, before it is read, at most so many."""
        if source not in self.rows:
            record = self.store.find(self.download(source)) if self.store else None
            whole = self.rows[source.removeprefix(FILTERED)]
            self.rows[source] = int(record.ledger["rows"]) if record else whole
        return self.rows[source]

    @contextmanager
    def _field(self, path: str) -> Iterator[None]:
        """Errors in here name the study and the field."""
        try:
            yield
        except InputError as error:
            raise type(error)(f"study {self.study.name}, {path}: {error}") from error

    @cached_property
    def benchmarks(self) -> list[tuple[str, BenchmarkChoice]]:
        """(ability, benchmark) pairs in the study's order."""
        return [(name, choice) for name, ability in self.study.abilities.items() for choice in ability.benchmarks]

    def base(self, model: str) -> Step:
        """A model's base checkpoint."""
        pinned = self.models[model]
        runtime = BaseRuntime(location=pinned.runtime.location, training=self.runtime.training)
        return self._once(
            ("base", model),
            lambda: base(pinned.base, tokenizer=self._tokenizer(model), label=pinned.label, runtime=runtime),
        )

    def chain(self, cell: Cell) -> list[Step]:
        """The sft steps of a cell, one a stage."""
        return [self._stage(cell, cell.stages[: i + 1]) for i in range(len(cell.stages))]

    def parts(self, cell: Cell) -> list[list[tuple[Fraction, Step]]]:
        """For each stage of a cell, the checkpoints after the shares of it that are evaluated, with its last one."""
        shares = [share for share in cell.evaluate_at if share < WHOLE]
        if not cell.evaluate_at:
            return []
        stages = [cell.stages[: i + 1] for i in range(len(cell.stages))]
        return [
            [*((share, self._stage(cell, so_far, until=share)) for share in shares), (WHOLE, self._stage(cell, so_far))]
            for so_far in stages
        ]

    def scores(
        self, checkpoint: Step, model: str, experiments: Collection[str]
    ) -> Iterator[tuple[str, BenchmarkChoice, Step]]:
        """(ability, benchmark, score step) of one checkpoint that these experiments name, or go on from."""
        for ability, choice in self.benchmarks:
            if not choice.asks(experiments):
                continue
            benchmark = load_benchmarks()[choice.name]
            data = self._data(ability, choice)
            template = self.models[model].template
            settings = AnswerSettings(benchmark=choice.name, template=template)
            if benchmark.generates:
                limit = choice.max_new_tokens or benchmark.max_new_tokens
                asking = {"items": choice.items, "max_new_tokens": limit} | self.study.generation.model_dump()
                settings = settings.model_copy(update=asking)
            asked = data if benchmark.generates else self._tokenized(ability, model)
            answers = self._add(
                answer(settings, checkpoint=checkpoint, data=asked, runtime=AnswerRuntime(server=self.runtime.server))
            )
            yield ability, choice, self._add(self._score(benchmark, answers=answers, data=data))

    def represent(self, checkpoint: Step, model: str) -> Step | None:
        """The hidden states of one checkpoint, as the study chooses them."""
        if (choice := self.study.hidden_states) is None:
            return None
        settings = RepresentSettings(
            layer=choice.layer, samples=choice.samples, pooling=choice.pooling, dtype=self.study.generation.dtype,
            template=self.models[model].template, max_length=self.study.max_length,
        )  # fmt: skip
        sources = [self.download(ability) for ability in self.sources]
        return self._add(represent(settings, checkpoint=checkpoint, sources=sources))

    def _score(self, benchmark: Benchmark, *, answers: Step, data: Step) -> Step:
        settings = ScoreSettings(benchmark=benchmark.name, grader_version=benchmark.grader_version)
        runtime = ScoreRuntime(unsafe_code=self.runtime.unsafe_code)
        if benchmark.judged and (judge := self.study.judge) is not None:
            with self._field("judge"):
                settings = settings.model_copy(update={"judge": judge.pinned()})
            runtime = ScoreRuntime(judge=self.runtime.judge, prompts=judge.prompts, references=judge.references)
        return score(settings, answers=answers, data=data, runtime=runtime)

    def mixture_examples(self, stage: Stage) -> int | None:
        """How many examples a stage's mixture has; None where a source's size is not known yet."""
        sizes = [(k, self.rows_of(source)) for source, k in stage.items()]
        return None if any(n is None for _, n in sizes) else sum(subset_size(k, n or 0) for k, n in sizes)

    def _stage(self, cell: Cell, stages: Stages, *, until: Fraction = WHOLE) -> Step:
        mixtures = tuple(tuple(sorted(stage.items())) for stage in stages)
        key = (cell.model, cell.seed, cell.recipe, mixtures, until)
        return self._once(("sft", key), lambda: self._new_stage(cell, stages, until))

    def _new_stage(self, cell: Cell, stages: Stages, until: Fraction) -> Step:
        parent = self.base(cell.model) if len(stages) == 1 else self._stage(cell, stages[:-1])
        mixture = self._mixture(stages[-1])
        tokenized = {self.download(a).key: self._tokenized(a, cell.model) for a in stages[-1]}
        subsamples = mixture.inputs["subsamples"]
        assert not isinstance(subsamples, Step)
        return sft(
            SftSettings(recipe=cell.recipe, seed=cell.seed, until=until),
            parent=parent,
            mixture=mixture,
            tokenized=[tokenized[str(s.input_keys["rows"])] for s in subsamples],
            stage=len(stages),
            runtime=self.runtime.training,
        )

    def _mixture(self, stage: Stage) -> Step:
        return self._once(
            ("mix", tuple(sorted(stage.items()))), lambda: mix(self._subset(a, k) for a, k in stage.items())
        )

    def _subset(self, ability: str, k: Fraction) -> Step:
        rows = self.rows_of(ability)
        if rows is not None and subset_size(k, rows) == 0:
            raise StudyError(
                f"study {self.study.name}: {k} of {ability}'s {rows} rows is less than one row; use a proportion of at "
                f"least 1/{rows}"
            )
        settings = SubsampleSettings(proportion=k, seed=self.study.subset_seed)
        return self._once(("subsample", ability, k), lambda: subsample(settings, rows=self.download(ability)))

    def download(self, ability: str) -> Step:
        """The download of an ability's source, or of a filtered one by the name that stages have for it."""
        if ability in self.sources:
            pinned = self.sources[ability]
            return self._once(("download", ability), lambda: download(pinned.settings, pinned.runtime))
        return self._once(("download", ability), lambda: self._filtered(ability))

    def _filtered(self, name: str) -> Step:
        with self._field(f"abilities.{name.removeprefix(FILTERED)}.source"):
            pinned = pin_source(self.study.source(name), self.lock)
        return download(pinned.settings, pinned.runtime)

    def _tokenizer(self, model: str) -> Step:
        pinned = self.models[model]
        trained = pinned.tokenizer.vocabulary_size is not None
        sources = [self.download(ability) for ability in self.study.abilities] if trained else []
        label = f"bpe-{pinned.tokenizer.vocabulary_size}" if trained else pinned.label
        return self._once(
            ("tokenizer", model), lambda: tokenizer(pinned.tokenizer, sources, label=label, runtime=pinned.runtime)
        )

    def _tokenized(self, ability: str, model: str) -> Step:
        settings = TokenizeSettings(template=self.models[model].template, max_length=self.study.max_length)
        return self._once(
            ("tokenize", ability, model),
            lambda: tokenize(settings, rows=self.download(ability), tokenizer=self._tokenizer(model)),
        )

    def _data(self, ability: str, choice: BenchmarkChoice) -> Step:
        benchmark = load_benchmarks()[choice.name]
        asked = self._ability_with(benchmark.data, ability) if choice.path is None else None
        if asked is not None:
            if not self.sources[asked].settings.held_out:
                raise StudyError(
                    f"study {self.study.name}: {choice.name} asks held-out rows of {asked}'s source, which keeps "
                    "none; set `held_out` there, such as held_out: 200"
                )
            return self.download(asked)
        pinned = self.benchmark_data(choice)
        return self._once(("data", choice.name, choice.path), lambda: download(pinned.settings, pinned.runtime))

    def _ability_with(self, source: str | None, ability: str) -> str | None:
        """The ability whose source a benchmark asks: its own (for None too), else another: no item is trained on."""
        if source is None:
            return ability
        return next((a for a in (ability, *self.sources) if self.sources[a].settings.source == source), None)

    def benchmark_data(self, choice: BenchmarkChoice) -> PinnedSource:
        """The pinned data of a benchmark that has data of its own."""
        name = load_benchmarks()[choice.name].data
        return pin_source(SourceChoice(name=name, path=choice.path, rows=choice.rows), self.lock)

    def unpinned(self, models: Iterable[str], asked: Collection[tuple[str, str]]) -> list[str]:
        """What must be looked up before models can run and be asked (ability, benchmark): hub names, else sentences."""
        data = [
            self.benchmark_data(choice)
            for ability, choice in self.benchmarks
            if (ability, choice.name) in asked
            if choice.path or self._ability_with(load_benchmarks()[choice.name].data, ability) is None
        ]
        pinned = [p.unpinned for p in (*self.sources.values(), *data)] + [self.models[m].unpinned for m in models]
        return list(dict.fromkeys(name for name in pinned if name))

    def _once(self, name: object, build: Callable[[], Step]) -> Step:
        if name not in self._built:
            self._built[name] = self._add(build())
        return self._built[name]

    def _add(self, step: Step) -> Step:
        return self.steps.setdefault(step.key, step)
