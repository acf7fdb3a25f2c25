"""`dyadbench show`: every entry can be shown, and says what its author wrote in the source."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from pydantic import Field as PydanticField
from tests.fixtures.hosts import shared_host
from typer.testing import CliRunner

from dyadbench.api import Config, DyadbenchError, MotionSpace, Needs
from dyadbench.cli import app
from dyadbench.cli.show_reaction import about_reaction, reaction_lines
from dyadbench.registry.fields import fields_of
from dyadbench.registry.load import KINDS


def _text_of(*words: str) -> str:
    outcome = CliRunner().invoke(app, ["show", *words], env={"COLUMNS": "80"}, catch_exceptions=False)
    assert outcome.exit_code == 0
    return outcome.output


class Base(Config):
    shortest: float = 0.3  # seconds


class Own(Base):
    way: int = PydanticField(2, gt=0, le=9, description="which way")
    long: tuple[int, ...] = (
        1,
        2,
    )  # of many
    label: str | None = None
    """Said below."""


def test_a_dataset_says_which_fields_leave_a_benchmark_its_name() -> None:
    """docs/matrices.md sends its readers here for that."""
    assert "leave a benchmark its name: link, listeners, seconds, seed, size" in _text_of("simdyad")


def test_fields_have_the_type_bounds_default_and_comment_of_the_source() -> None:
    fields = {each.name: each for each in fields_of(Own, {"small": {"way": 3}, "same": {"way": 2}})}
    assert [(f.type, f.default, f.meaning) for f in fields.values()] == [
        ("float", 0.3, "seconds"),
        ("int, > 0, <= 9", 2, "which way"),
        ("tuple[int, ...]", (1, 2), "of many"),
        ("str | none", None, "Said below."),
    ]
    assert fields["way"].presets == {"small": 3}


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("ridge", ["ridge (predictor, version", "ridge.py (Ridge)", "-s FIELD=VALUE", "taps: int, >= 1 = 8", "declared look-ahead: 0 frames"]),
        ("dense-fsq", ["tokenizer: frame-fsq", "-s predictor.FIELD=VALUE", "steps: int, > 0 = 9200 (small 1200, smoke 12)"]),
        ("simdyad-clear-react-online", ["may see nothing of the speaker's future", "FRCorr: more is better", "mismatched-listener"]),
        ("react2024-test-offline", ["the speaker's whole clip", "dataset: react2024"]),
        ("react2024", ["react2024 (dataset,", "--data-set FIELD=VALUE", "react2024 (suite,"]),
        ("react2024/FRCorr", ["more is better", "CCC_c = 2 cov", "simdyad-clear-react-online: passes", "range: from -1.0 to 1.0"]),
        ("CCC.smile", ["concordance", "vc-dyads: "]),
    ],
)  # fmt: skip
def test_what_is_shown(name: str, parts: list[str]) -> None:
    text = _text_of(name)
    assert all(part in " ".join(text.split()) for part in parts), text


@pytest.mark.parametrize(
    ("of", "parts"),
    [
        ("simdyad-clear-react-online", ["emotion, (samples, frames, channels) per clip: (10, 750, 25) at 25 frames per second", "channels 0 to 14, units: AU1, AU2,", "AU25, AU26 (0 or 1)", "channels 15 to 16, affect: valence, arousal (from -1 to 1)", "score is given --train"]),
        ("vc-dyads", ["motion, (samples, frames, channels) per clip: (5, 900, 4) at 30", "channel 2, movement: movement (log(1 + motion energy))"]),
        ("simdyad-clear-l2l", ["(10, 896, 56) at 30", "expression: exp0 to exp49 (as the dataset has them)", "channels 53 to 55, jaw: jawx, jawy, jawz (radians)", "dyadbench score --template FILE.npz -b simdyad-clear-l2l"]),
        ("dualtalk-test", ["(5, as the clip, 56) at 25"]),
        ("openface", ["(5, 900, 25) at 30", "translation: pose_Tx, pose_Ty, pose_Tz (centimetres less their median"]),
    ],
)  # fmt: skip
def test_a_benchmark_says_what_a_reaction_holds(of: str, parts: list[str]) -> None:
    """Who has predictions as arrays found nowhere which array, channels, units and rate were wanted."""
    text = _text_of(of)
    assert all(part in " ".join(text.split()) for part in parts), text
    assert ("--train" in text) == (of == "simdyad-clear-react-online"), "nothing else has action units of 0 and 1"


def test_every_benchmark_knows_its_channels_without_the_data() -> None:
    host = shared_host()
    for entry in host.entries("benchmark"):
        facts = about_reaction(host, entry.name, entry.config)
        assert [channel for group in facts["groups"] for channel in group["channels"]], entry.name
        assert facts["groups"][-1]["stop"] == facts["channels"], "groups in the order of channels"


def test_a_dataset_that_tells_nothing_in_advance_sends_to_the_template(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dyadbench.datasets.simdyad.open_simdyad", lambda config, root: None)
    assert "only the data say of how many channels, and dyadbench score --template" in " ".join(
        _text_of("simdyad-clear-l2l").split()
    )


def test_channels_that_are_in_no_group_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    space = MotionSpace("own", 30.0, ("tilt", *(f"shape{n}" for n in range(8)), "x1", "x2"), {"face": (1, 7)})
    monkeypatch.setattr("dyadbench.datasets.vc_dyads.VCDyadsDataset.shape_of", lambda config: (space, None))
    lines = reaction_lines(about_reaction(shared_host(), "vc-dyads", shared_host().get("benchmark", "vc-dyads").config))
    assert [line.partition(" (")[0] for line in lines[1:-1]] == [
        "channel 0, in no group: tilt",
        "channels 1 to 6, face: shape0 to shape5",
        "channels 7 to 10, in no group: shape6, shape7, x1, x2",
    ]


def test_what_a_method_is_given_of_the_listener_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    own = SimpleNamespace(needs=Needs(own_audio=("mel-128",), own_past=50))
    monkeypatch.setattr("dyadbench.conformance.checks.built_on_made_up_data", lambda *_: own)
    assert "the speaker's face, the listener's own voice, the listener's own past; declared" in " ".join(
        _text_of("ridge").split()
    )


def test_every_entry_can_be_shown_and_fits_the_terminal() -> None:
    for kind in KINDS:
        for entry in shared_host().entries(kind):
            if kind in ("method", "predictor"):
                continue  # these are built, which takes longer; two are above
            facts = json.loads(_text_of(entry.name, "--json"))
            assert any(each["kind"] == kind and each["plugin"] for each in facts)
    assert all(len(line) <= 80 for line in _text_of("sparse-fsq").splitlines())


def test_a_name_that_is_not_there_gets_the_nearest() -> None:
    with pytest.raises(DyadbenchError, match=r"nothing is called 'FRCor'; did you mean FRCorr"):
        CliRunner().invoke(app, ["show", "FRCor"], catch_exceptions=False)
