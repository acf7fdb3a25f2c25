"""One cell from start to record: fit, generate, score. Every stage is kept, and a stage that is done is not redone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from dyadbench.api import (
    Dataset,
    DyadbenchError,
    Evaluation,
    Predictor,
    Setup,
    Suite,
    Tokenizer,
)
from dyadbench.cell.draw import NoPictures, draw_clips, plain_name
from dyadbench.cell.generate import Generation, Progress, Sampled, mapped
from dyadbench.cell.keys import fit_keys, source_of
from dyadbench.cell.react import demand_predictor, demand_sides
from dyadbench.cell.recorded import recorded_config
from dyadbench.cell.runtime import Runtime
from dyadbench.cell.score import Scoring, demand_groups, open_suites
from dyadbench.cell.split import Split
from dyadbench.datasets.limit import scored_part
from dyadbench.datasets.readout import UNITS_VERSION, EmotionReadout, kept_readout, units_facts
from dyadbench.datasets.readout import VERSION as READOUT
from dyadbench.files.atomic import damaged
from dyadbench.files.npy import BadFile, read_npy
from dyadbench.matrix.cells import Cell, Part
from dyadbench.matrix.keys import key_of
from dyadbench.metrics import tokens as token_metrics
from dyadbench.records import provenance
from dyadbench.records.record import Measured, Record, RecordedData, RecordedSetting, SuiteScores
from dyadbench.registry.host import ComponentKind, Host
from dyadbench.store.folders import MAKER, Folder, Maker
from dyadbench.training.fit import Fitter
from dyadbench.training.processes import SOLO, World


@dataclass
class CellRun:
    """The stages of one cell over one open dataset."""

    cell: Cell
    host: Host
    runtime: Runtime
    dataset: Dataset
    fold: int | None = None  # which one of a cross-validated benchmark `dataset` is

    def __post_init__(self) -> None:
        setting = self.cell.setting
        self.dataset = scored_part(self.dataset, setting.split, setting.clips)
        self.split = Split(self.dataset, setting.split)
        keys = fit_keys(self.cell, self.host, self.dataset.digest, self.fold)
        # Three keys, each of all that can change what lies below it: learnt weights, the tokenizer's, the reactions. A change that
        # only sampling reads gives new reactions from old weights.
        self.fit_key, self.tokenizer_key, sampling = keys.predictor, keys.tokenizer, keys.sampling
        self.made_of = keys.made_of
        source = source_of(self.cell, self.host, self.dataset.digest, self.fold)
        self.readout_key = key_of("readout", version=READOUT, **source)
        self.generate_key = key_of(
            "generate", fit=self.fit_key, split=setting.split, samples=setting.samples, readout=READOUT,
            **({"action_units": UNITS_VERSION} if self.binary_units else {}),
            **({"clips": setting.clips} if setting.clips else {}), **sampling,
        )  # fmt: skip
        self.setup = Setup(
            space=self.dataset.space,
            audio=self.dataset.audio,
            has_emotion=self.dataset.has_emotion,
            seed=self.cell.seed,
            device=self.runtime.device,
            threads=self.runtime.threads,
        )

    @property
    def parts(self) -> list[CellRun]:
        """What is fitted and sampled by itself: this, or every fold."""
        return [self]

    def part_of(self, row: int) -> tuple[CellRun, int]:
        """Which part reacts to a clip of the whole, and its row there."""
        return self, row

    def sources(self, *kinds: ComponentKind) -> dict[str, str]:
        """Whose code is at work in a stage of this cell, and the hash of each."""
        parts = {kind: getattr(self.cell, kind) for kind in kinds}
        return self.host.sources_of({kind: part.name for kind, part in parts.items() if part is not None})

    # --- fit --------------------------------------------------------------------------------------------

    def fit(self) -> tuple[Predictor, dict[str, Any]]:
        """The predictor on its tokenizer, trained or restored, and what the fits cost together."""
        cell = self.cell
        demand_groups(self.suites, self.dataset.space)
        facts: dict[str, Any] = {}
        more: dict[str, Any] = {}
        if cell.tokenizer is not None:
            self._try_on(cell.tokenizer)
            more["tokenizer"], spent = self.fit_tokenizer(cell.tokenizer, self.runtime.world)
            facts = {f"tokenizer_{name}": value for name, value in spent.items()}
        predictor: Predictor = self.host.build(
            "predictor", cell.predictor.name, cell.predictor.config, self.setup, **more
        )
        demand_predictor(predictor, cell.predictor.name)
        demand_sides(predictor.needs.two_sided, cell.predictor.name, cell.benchmark, two_sided=cell.setting.two_sided)
        facts |= self._fitter(self.runtime.world).fit(
            predictor, cell.predictor, "predictor", self.fit_key, self.sources("predictor", "tokenizer", "dataset")
        )
        return predictor, facts

    def _try_on(self, part: Part) -> None:
        """Builds the predictor on a tokenizer that has learnt nothing: it may refuse it before hours are spent on its training."""
        untrained = self.host.build("tokenizer", part.name, part.config, self.setup)
        predictor = self.cell.predictor
        self.host.build("predictor", predictor.name, predictor.config, self.setup, tokenizer=untrained)

    def fit_tokenizer(self, part: Part, world: World) -> tuple[Tokenizer, dict[str, Any]]:
        """The cell's tokenizer, trained or restored, and what the fit cost."""
        tokenizer: Tokenizer = self.host.build("tokenizer", part.name, part.config, self.setup)
        sources = self.sources("tokenizer", "dataset")
        return tokenizer, self._fitter(world).fit(tokenizer, part, "tokenizer", self.tokenizer_key, sources)

    def _fitter(self, world: World) -> Fitter:
        runtime = self.runtime
        return Fitter(self.host, runtime.store, self.setup, self.split.training, runtime.report, world)

    # --- generate ---------------------------------------------------------------------------------------

    def generate(self, spaces: Sequence[str]) -> tuple[Folder, dict[str, Any]]:
        """The reactions of every clip, written batch by batch; a partial stage goes on where it stopped."""
        world = self.runtime.world
        sources = self.sources("predictor", "tokenizer", "dataset")
        with world.hold(self.runtime.store, "generate", self.generate_key, self._plugin, sources) as stage:
            progress = world.broadcast(Progress.of(stage).with_spaces(spaces))
            sampled = stage.read("facts.json", Sampled)
            facts = {} if sampled is None else sampled.model_dump()
            # Reactions of a two-sided benchmark on the same data have the same key.
            demand_sides(
                facts.get("two_sided") or (), self.cell.predictor.name, self.cell.benchmark,
                two_sided=self.cell.setting.two_sided,
            )  # fmt: skip
            if world.broadcast(stage.done and bool(facts) and self._sampled(stage, progress)):
                return stage, world.broadcast(facts)
            # Finished before, but without an array that a new suite needs: it is opened again and filled.
            if world.first:
                stage.reopen()
            predictor, fitted = self.fit()
            sampling = Generation(
                self.cell, self.host, self.runtime, self.split, self.dataset.space, predictor, lambda: self.readout,
                self.binary_units,
            )  # fmt: skip
            if world.first:
                sampling.demand_repeatable()
                arrays = sampling.arrays(stage, progress)
                sampling.calibrate(stage, progress)
            progress = world.broadcast(progress)
            if not world.first:
                arrays = {space: mapped(stage.folder / f"{space}.npy") for space in progress.spaces}
            sampling.fill(stage, arrays, progress)
            if world.first:
                facts = {**fitted, **sampling.measure(progress)}
                if progress.read_out:
                    facts["readout"] = {"version": READOUT, "rmse": dict(self.readout.summary())}
                if progress.thresholds:
                    facts["action_units"] = units_facts(progress.thresholds)
                stage.write_json("facts.json", facts)
                stage.finish()
            return stage, world.broadcast(facts)

    def _sampled(self, stage: Folder, progress: Progress) -> bool:
        """Whether every array holds every clip; that an array is there says nothing."""
        whole = progress.done == len(self.split.clips)
        return whole and all((stage.folder / f"{space}.npy").exists() for space in progress.spaces)

    @cached_property
    def binary_units(self) -> bool:
        """Whether action units are scored as 0 and 1."""
        return self.dataset.has_emotion and self.cell.setting.action_units == "binary" and "emotion" in self.spaces

    @cached_property
    def readout(self) -> EmotionReadout:
        """The dataset's, the same for every method."""
        return kept_readout(self.runtime.store, self.readout_key, self.split.training())

    @property
    def _plugin(self) -> tuple[str, str]:
        return self.host.plugin_of(self.host.get("predictor", self.cell.predictor.name))

    # --- score ------------------------------------------------------------------------------------------

    def reactions(self, space: str) -> Any:
        """(N, K, T, C) of the clips in the split's order, left on disk and read clip by clip; None where there are none."""
        stage = self.runtime.store.stage("generate", self.generate_key)
        return _reactions(stage.folder / f"{space}.npy") if space in Progress.of(stage).spaces else None

    def evaluation(self) -> Evaluation:
        """What a suite sees."""
        motion, emotion = self.reactions("motion"), self.reactions("emotion")
        # Only the first process scores.
        threads = self.runtime.threads * self.runtime.world.size  # the others have nothing to do meanwhile
        return self.split.evaluation(motion, emotion, threads, self.runtime.device)

    @cached_property
    def suites(self) -> dict[str, Suite]:
        return open_suites(self.host, (self.cell.setting.suite, *self.cell.setting.also))

    @property
    def spaces(self) -> list[str]:
        return sorted({suite.space for suite in self.suites.values()})

    @cached_property
    def key(self) -> str:
        """Of the whole cell, to the scores: who holds the stage `cell` of this key makes the record."""
        versions = {name: {c.id: c.version for c in suite.columns} for name, suite in self.suites.items()}
        cell = self.cell.model_dump(mode="json", exclude={"of"})  # a label, which changes no number
        return key_of("cell", cell=cell, digest=self.dataset.digest, generate=self.generate_key, suites=versions)

    def gives(self, record: Record) -> bool:
        """Whether `record` is what this cell would measure: the same generations under the same metrics."""
        same = record.key == self.generate_key and record.method_config == self.cell.identity()
        if self.cell.tokenizer is not None:
            tokens = record.suites.get("tokens")
            same = (
                same
                and tokens is not None
                and all(token_metrics.version_of(n) == v for n, v in tokens.versions.items())
            )
        return same and all(
            name in record.suites and dict(record.suites[name].versions) == {c.id: c.version for c in suite.columns}
            for name, suite in self.suites.items()
        )

    def run(self) -> Record:
        """The record of this cell; everything already in the store is reused. Raises NoPictures, which holds it, where the
        pictures that were asked for cannot be drawn."""
        stage, facts = self.generate(self.spaces)
        data = self.evaluation()
        scored = {name: self.scoring.suite(name, suite, data) for name, suite in self.suites.items()}
        if self.cell.tokenizer is not None:
            scored["tokens"], facts["tokens"] = self.tokens(self.cell.tokenizer)
        record = self._record(stage, facts, scored)
        if self.runtime.draw:
            try:
                self._draw()
            except DyadbenchError as error:
                raise NoPictures(error, record) from error
        return record

    def _draw(self) -> None:
        folder = self.runtime.home / "pictures" / plain_name(self.cell.name)
        part = self.parts[0]
        predictor = part.fit()[0]
        with self.host.blame("predictor", self.cell.predictor.name, "draw"):
            draw_clips(predictor, part.dataset, self.cell.setting.split, folder, self.runtime.draw)

    def _record(self, stage: Folder, facts: dict[str, Any], scored: dict[str, SuiteScores]) -> Record:
        """What was measured, with everything that the numbers follow from."""
        entry = self.host.get("predictor", self.cell.predictor.name)
        maker = stage.read(MAKER, Maker)
        online = self.cell.setting.track == "online"
        plugin = maker.plugin if maker else self._plugin  # whose reactions these are, even if it was updated since
        return Record(
            key=self.generate_key,
            benchmark=self.cell.benchmark,
            benchmark_config=RecordedSetting(**self.cell.setting.model_dump(mode="json")),
            method=self.cell.method,
            preset=self.cell.preset,
            method_config=self.cell.identity(),
            plugin=plugin,
            entry_version=entry.version,
            calibration=entry.calibration,
            of=self.cell.of,
            deterministic=entry.deterministic and self.cell.tokenizer is None,
            trained="fit_seconds" in facts,
            seed=self.cell.seed,
            dataset=RecordedData(
                name=self.cell.dataset.name,
                version=self.cell.dataset.version,
                digest=self.dataset.digest,
                simulated=self.dataset.simulated,
                normalisation=dict(self.dataset.normalisation()),
                split=self.cell.setting.split,
                config=recorded_config(self.host, self.cell.dataset),
                **({"limit": self.cell.limit} if self.cell.limit else {}),
            ),
            clips=[clip.id for clip in self.split.clips],
            sessions=[clip.session for clip in self.split.clips],
            suites=scored,
            measured=Measured(**{name: value for name, value in facts.items() if online or name != "latency"}),
            provenance=provenance.snapshot(self.runtime.device, self.runtime.threads, plugin[0]),
        )

    @property
    def scoring(self) -> Scoring:
        return Scoring(
            self.host, self.runtime, self.split, self.generate_key, self.tokenizer_key, self.cell.setting.clips
        )

    def tokens(self, part: Part) -> tuple[SuiteScores, dict[str, Any]]:
        """What the cell's tokenizer alone keeps of the split, and its grid."""
        # The other processes are done by now: only the first one scores, so it restores the tokenizer by itself.
        return self.scoring.tokens(part.name, lambda: self.fit_tokenizer(part, SOLO)[0])


def _reactions(path: Path) -> np.ndarray:
    """(N, K, T, C), left on disk."""
    try:
        return read_npy(path, (None, None, None, None), mmap=True)
    except BadFile as error:
        raise damaged(path, error) from None
