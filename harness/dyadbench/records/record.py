"""Records: one measured cell each, in a file format that outlives the program that wrote it."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, ValidationError, model_serializer
from typing_extensions import TypedDict  # pydantic reads that of typing from Python 3.12 on

from dyadbench.api import Config, DyadbenchError, TrackName
from dyadbench.errors import first_fault
from dyadbench.files.atomic import atomic_write
from dyadbench.records.gain import mean_gain

if TYPE_CHECKING:
    from dyadbench.matrix.cells import Cell

FORMAT = "dyadbench-record/1"
DIGITS = 7  # significant digits of a per-clip value
MEAN_TOLERANCE = 2 * 0.5 * 10.0 ** (1 - DIGITS)  # of a mean of values that were rounded so, relative to their size
ROUNDING = 1e-10  # a distance between equals is 0 but for this: -1.6e-11 for a pooled Frechet distance
MAX_BYTES, MAX_DEPTH = 64 << 20, 64
# Strings, one without end included, and what opens and closes outside them.
MARKS = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)
# A number that a float cannot hold has one of these. A name or a digest may end in an e and digits, too, but a quote follows.
LARGE = (re.compile(r"[eE]\+?\d{3,}+[\s,\]}]"), re.compile(r"\d{200}", re.ASCII))
LATENCY = {"first_frame_ms", "step_p50_ms", "step_p99_ms", "budget_ms"}  # what tables read of a stream
LONGEST = 120  # characters of a file name that is made from a label
MIGRATIONS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {}  # old format -> one step towards FORMAT


class Score(Config):
    """One metric's value; None is undefined, and `undefined` counts the items without one."""

    value: float | None
    undefined: int = Field(default=0, ge=0)
    detail: Mapping[str, float] = {}


class SuiteScores(Config):
    """All columns of one suite, with the version of each and its values clip by clip."""

    versions: Mapping[str, int]
    scores: Mapping[str, Score]
    per_clip: Mapping[str, list[float | None]]


class _Facts(BaseModel):
    """Part of a record. What a newer program wrote beside the fields stays, and what was not given is not written."""

    model_config = ConfigDict(frozen=True, extra="allow")

    @model_serializer(mode="wrap")
    def _as_given(self, inner: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in inner(self).items() if name in self.model_fields_set}


class RecordedSetting(_Facts):
    """The benchmark as it was (api.BenchmarkConfig)."""

    suite: str
    also: tuple[str, ...]
    split: str
    track: TrackName
    samples: int = Field(ge=1)
    dataset: str = ""
    dataset_config: Mapping[str, Any] = {}
    allowed_lookahead: int = 0
    folds: int = Field(default=0, ge=0)
    action_units: str = "binary"
    clips: int = Field(default=0, ge=0)
    two_sided: bool = False


class RecordedData(_Facts):
    """The data: `config` is the whole configuration of the dataset but for paths of the machine."""

    name: str
    version: int = Field(default=1, ge=1)  # of the dataset's entry
    digest: str = Field(min_length=1)
    simulated: bool
    split: str
    config: Mapping[str, Any]
    normalisation: Mapping[str, Any] = {}
    limit: int = 0  # clips per split that were looked at; 0: all


class Readout(_Facts):
    """Emotion was read out from motion: by which version, and its error on validation frames by channel."""

    version: int
    rmse: Mapping[str, float]


class BinaryUnits(_Facts):
    """Action units were turned to 0 and 1: by which version of the rule, above which threshold each."""

    version: int = Field(ge=1)
    thresholds: Mapping[str, float]


Number = int | float  # which of the two it was stays, so that a record is written again as it was


class Curve(TypedDict, total=False):
    """Of one training stage (training/curves.py)."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]  # pydantic's own way to say it
    steps: list[int]
    loss: list[Number | None]
    validation_steps: list[int]
    validation: list[Number | None]
    metric: str


class TokenGrid(TypedDict):
    """Of a tokenizer (api.TokenSpec)."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]
    codes: int
    groups: int
    residual: int
    frames_per_token: Number | None


class Provenance(TypedDict, total=False):
    """What the record was made with (records/provenance.py)."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]
    git: str | None
    python: str
    packages: Mapping[str, str]
    hardware: Mapping[str, Any]
    threads: int


class Measured(_Facts):
    """What fitting and sampling showed. `lookahead` None: the whole clip."""

    lookahead: int | None = 0
    declared_lookahead: int | None = 0
    sees_truth: bool = False
    realtime_factor: float | None = None
    frames: int | None = Field(default=None, ge=0)  # that were generated
    generate_seconds: float | None = None
    generate_cpu_seconds: float | None = None  # processor seconds: the same however busy the machine was
    fit_seconds: float | None = None
    fit_cpu_seconds: float | None = None
    tokenizer_fit_seconds: float | None = None
    tokenizer_fit_cpu_seconds: float | None = None
    parameters: int | None = Field(default=None, ge=0)
    tokenizer_parameters: int | None = Field(default=None, ge=0)
    # Stage (and fold) -> metrics; a loss alone in old records.
    validation: Mapping[str, Mapping[str, Number | None] | Number | None] = {}
    tokenizer_validation: Mapping[str, Mapping[str, Number | None] | Number | None] = {}
    curves: Mapping[str, Curve] = {}  # by stage (and fold)
    tokenizer_curves: Mapping[str, Curve] = {}
    tokens: TokenGrid | None = None
    readout: Readout | None = None
    action_units: BinaryUnits | None = None  # None: they were scored as emitted, or not at all
    two_sided: tuple[str, ...] = ()  # what it was given of the listener: "own voice", "own past"
    latency: Mapping[str, float] | None = None  # of a stream on an online track (cell/latency.py)
    reads_emotion: bool | None = None  # whether the speaker's emotion, beside face and voice, changes the reactions

    @property
    def speaker_gain(self) -> dict[str, float]:
        """Face and sound, face, sound -> by how much the validation loss grows with a stranger's (`mean_gain`)."""
        return mean_gain(self.validation)


class Record(Config):
    """One cell as it was measured. Nothing in it is ever edited; a new measurement replaces the file."""

    format: str = FORMAT
    key: str
    benchmark: str
    benchmark_config: RecordedSetting
    method: str
    preset: str | None
    method_config: Mapping[str, Any]  # "predictor", and "tokenizer" where there is one -> name, version, config
    plugin: tuple[str, str]  # distribution, version
    entry_version: int
    calibration: bool
    of: str = ""  # the method that this is an ablation of; it is shown with that one and never ranked
    deterministic: bool = False  # the seed changes nothing
    scored_from: str = (
        ""  # the name of the predictions file that was scored; the method cannot be run again, so it has no rank
    )
    trained: bool
    seed: int
    dataset: RecordedData
    clips: list[str]
    sessions: list[str]
    suites: Mapping[str, SuiteScores]
    measured: Measured
    provenance: Provenance

    @model_serializer(mode="wrap")
    def _as_given(self, inner: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without fields that came later and were not given, so that an old record is written again as it was."""
        return {name: value for name, value in inner(self).items() if name == "format" or name in self.model_fields_set}

    @property
    def data_version(self) -> int:
        """The dataset entry's version; 1 in records from before it was noted."""
        return self.dataset.version

    @property
    def limit(self) -> int:
        """Clips per split that were looked at; 0: all of them, as in every record that counts."""
        return self.dataset.limit


def slug(text: str) -> str:
    """A label as a safe file name. Labels of other characters, or too many, stay apart by a hash of what they were."""
    safe = re.sub(r"[^A-Za-z0-9._+-]+", "_", text).strip(".")
    if safe == text and 0 < len(text) <= LONGEST:
        return text
    return f"{safe[:LONGEST]}-{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:8]}"


def record_path(leaderboards: Path, of: Record | Cell) -> Path:
    """Where the record of a cell lies; one of a part of the data lies apart, where no table looks."""
    return (
        leaderboards
        / ("limited" if of.limit else "records")
        / slug(of.benchmark)
        / slug(of.method)
        / f"seed{of.seed}.json"
    )


def _rounded(value: Any) -> Any:
    return None if value is None else float(f"{value:.{DIGITS}g}")


def save_record(record: Record, path: Path) -> None:
    """Writes deterministic JSON: sorted keys, per-clip values to seven digits, one line each suite column."""
    data = record.model_dump(mode="json")
    for suite in data["suites"].values():
        suite["per_clip"] = {name: [_rounded(v) for v in values] for name, values in suite["per_clip"].items()}
    text = json.dumps(data, sort_keys=True, indent=1, allow_nan=False)
    # Lists of numbers on one line each: readable differences, a third of the size. No string holds a line end.
    text = re.sub(r"\[\n\s*([^\[\]{}]*?)\n\s*\]", lambda m: "[" + re.sub(r",\n\s*", ", ", m.group(1)) + "]", text)
    atomic_write(path, text + "\n")


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text} is not a number that can be kept")
    return value


def _depth_within(text: str, limit: int) -> bool:
    depth = 0
    for mark in MARKS.finditer(text):
        if mark[0] in "[{":
            depth += 1
            if depth > limit:
                return False
        elif mark[0] in "]}":
            depth -= 1
    return True


class NewerRecord(DyadbenchError):
    """A record in a format of this project that this version does not know."""


def _is_ours(data: Mapping[str, Any]) -> bool:
    return str(data.get("format")).startswith(FORMAT.partition("/")[0] + "/")


def load_record(path: Path) -> Record:
    """Reads a record of this format or an older one; anything else is refused in one sentence that names the file."""
    try:
        if path.exists() and not path.is_file():
            raise ValueError("it is not a file")  # a pipe would be waited on for ever
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"it is larger than {MAX_BYTES >> 20} MiB")
        text = path.read_text(encoding="utf-8")
        if not _depth_within(text, MAX_DEPTH):
            raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels")
        # A function of our own for every number takes as long as all the rest, so it is called only where it may find one.
        data = json.loads(
            text,
            parse_constant=_refuse_constant,
            parse_float=_finite if any(mark.search(text) for mark in LARGE) else None,
        )
        if "\\ud" in text.lower():
            json.dumps(data, ensure_ascii=False).encode()  # half a character could not be written again
        if not isinstance(data, dict):
            raise ValueError("it is not a JSON object")
        while data.get("format") != FORMAT:
            step = MIGRATIONS.get(str(data.get("format")))
            if step is None:
                fault = (
                    f"its format is {data.get('format')!r}, this program reads {FORMAT}; a newer dyadbench may read it"
                )
                raise NewerRecord(f"{path} is not a record: {fault}") if _is_ours(data) else ValueError(fault)
            data = step(data)
        record = Record.model_validate(data)
        _check_content(record)
    except ValidationError as error:
        raise DyadbenchError(f"{path} is not a record: {first_fault(error)}") from None
    except FileNotFoundError:
        raise DyadbenchError(f"there is no record {path}") from None
    except (ValueError, OSError, RecursionError) as error:
        raise DyadbenchError(f"{path} is not a record: {error}") from None
    return record


def _check_content(record: Record) -> None:
    """What tables are made from is there, of one length, and says the same twice. Raises ValueError."""
    count = len(record.clips)
    if len(record.sessions) != count or len(set(record.clips)) != count:
        raise ValueError("clips and sessions differ in number, or a clip appears twice")
    for part in record.method_config.values():
        if (
            not isinstance(part, Mapping)
            or not {"name", "version"} <= part.keys()
            or not isinstance(part.get("config"), Mapping)
        ):
            raise ValueError("method_config does not give the name, version and whole config of each part")
    if (latency := record.measured.latency) is not None and not latency.keys() >= LATENCY:
        raise ValueError(f"measured.latency does not give {' and '.join(sorted(LATENCY - latency.keys()))}")
    if "predictor" not in record.method_config:
        raise ValueError("method_config has no predictor")
    for suite, scores in record.suites.items():
        if not scores.versions.keys() == scores.scores.keys() == scores.per_clip.keys():
            raise ValueError(f"{suite} does not give versions, scores and per-clip values of the same columns")
        for name, values in scores.per_clip.items():
            if len(values) != count:
                raise ValueError(f"{suite} {name} has {len(values)} per-clip values for {count} clips")
            if fault := mean_fault(scores.scores[name].value, [math.nan if v is None else v for v in values]):
                raise ValueError(f"{suite} {name}: {fault}")


def mean_fault(value: float | None, per_clip: Sequence[float]) -> str | None:
    """What is wrong where a metric's value is not the mean of its defined per-clip values (NaN: undefined); else None.

    Tables print the one and take intervals and ranks from the other. Per-clip values are kept to seven digits, so means may
    differ by as much.
    """
    defined = [v for v in per_clip if not math.isnan(v)]
    if value is None or not defined:
        return None if value is None and not defined else "its value and its per-clip values are not defined together"
    mean = math.fsum(defined) / len(defined)
    size = math.fsum(map(abs, defined)) / len(defined)
    if abs(mean - value) <= max(MEAN_TOLERANCE * max(abs(value), size), ROUNDING):
        return None
    return f"its value is {value:.7g}, and its per-clip values average to {mean:.7g}"
