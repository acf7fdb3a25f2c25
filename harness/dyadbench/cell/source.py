"""The dataset of a cell, and whether its folder still holds what was opened."""

from __future__ import annotations

import dataclasses

from dyadbench.api import BenchmarkConfig, Dataset, DyadbenchError
from dyadbench.cell.runtime import Runtime
from dyadbench.cell.split import demand_dataset
from dyadbench.datasets.digest import data_stamps
from dyadbench.datasets.folds import PooledDataset
from dyadbench.datasets.limit import LimitedDataset, scored_part
from dyadbench.errors import PluginError
from dyadbench.matrix.cells import Part
from dyadbench.registry.host import Host


def open_dataset(host: Host, part: Part, runtime: Runtime, limit: int = 0) -> Dataset:
    """The dataset of a cell, from the folder the runtime knows for it; of every split `limit` clips, 0 for all."""
    folder = runtime.folder_of(part.name)
    try:
        dataset: Dataset = host.build("dataset", part.name, part.config, root=folder)
    except PluginError as error:
        if part.name in runtime.data or folder.exists():
            raise
        raise PluginError(f"{error}; no folder was given for it: --data {part.name}=FOLDER") from error.__cause__
    demand_dataset(dataset)
    return LimitedDataset(dataset, limit) if limit else dataset


def scored_dataset(dataset: Dataset, setting: BenchmarkConfig) -> Dataset:
    """What a benchmark scores of an open dataset: the clips of all folds as its split, or a part of the split's clips."""
    return PooledDataset(dataset) if setting.folds else scored_part(dataset, setting.split, setting.clips)


class Source:
    """A dataset, and whether its folder still holds what was opened."""

    def __init__(self, host: Host, part: Part, runtime: Runtime, limit: int = 0):
        self._again = lambda: open_dataset(host, part, runtime, limit)
        self._folder = runtime.folder_of(part.name)
        self._stamps = data_stamps(self._folder)  # before anything is read
        self.dataset = self._again()
        self.runtime = dataclasses.replace(runtime, unchanged=self.unchanged)

    def unchanged(self) -> None:
        """Raises DyadbenchError if a file changed. Simulated corpora are never written to."""
        if self.dataset.simulated or (now := data_stamps(self._folder)) == self._stamps:
            return
        if self._again().digest != self.dataset.digest:
            raise DyadbenchError(
                f"the data in {self._folder} changed during the run, so nothing was kept of the stage that read them; "
                "run again once they stay as they are"
            )
        self._stamps = now
