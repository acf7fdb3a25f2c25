"""The command that measures a record again."""

from __future__ import annotations

import shlex

from dyadbench.matrix.cells import PartSpec, resolve_part
from dyadbench.matrix.keys import canonical
from dyadbench.records.record import Record
from dyadbench.registry.host import Host


def command_of(record: Record, host: Host) -> str:
    """`dyadbench run ...` with the overrides of the data that the record was measured on.

    A benchmark of data that were read otherwise is named after the registered one it came from (matrix.cells.evaluated).
    """
    if record.scored_from:
        return shlex.join(
            ["dyadbench", "score", record.scored_from, "--benchmark", record.benchmark, "--as", record.method]
        )
    names = [entry.name for entry in host.entries("benchmark")]
    official = max((name for name in names if f"{record.benchmark}+".startswith(f"{name}+")), key=len, default="")
    words = ["dyadbench", "run", "-b", official or record.benchmark, "-m", record.method]
    if record.preset:
        words += ["--preset", record.preset]
    if official:
        setting = host.get("benchmark", official).config
        usual = resolve_part(host, "dataset", PartSpec(name=setting.dataset, config=setting.dataset_config)).config
        changed = {name: value for name, value in record.dataset.config.items() if usual.get(name) != value}
        if record.benchmark_config.clips and not setting.clips:
            words += ["--clips", str(record.benchmark_config.clips)]
        for name, value in sorted(changed.items()):
            words += ["--data-set", f"{name}={value if isinstance(value, str) else canonical(value)}"]
    return shlex.join(words)
