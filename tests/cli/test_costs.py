"""What is said of the training ahead."""

from dyadbench.cli.costs import costs
from dyadbench.matrix.cells import MethodSpec
from dyadbench.registry.host import Host


def test_presets_of_parts_are_named_as_that_of_a_whole_method_is() -> None:
    small, whole = {"name": "sparse-fsq", "preset": "small"}, {"name": "keyframe-ar"}
    sentences = list(
        costs(
            Host(),
            [
                MethodSpec(name="a", tokenizer=small, predictor={"name": "reconstruction"}),
                MethodSpec(name="b", tokenizer=small, predictor=whole),
                MethodSpec(name="sfms", preset="smoke"),
                MethodSpec(name="sfms"),
                MethodSpec(name="ridge"),
                MethodSpec(name="belfusion", preset="small"),
            ],
        )
    )
    starts = [
        "a: preset small, 1,000 steps of sparse-fsq; other presets: paper",
        "b: preset small and none, 1,000 steps of sparse-fsq + 100,000 steps of keyframe-ar; other presets: paper",
        "sfms: preset smoke, 12 steps of sparse-fsq + 12 steps of keyframe-ar; other presets: paper",
        "sfms: no preset, its full configuration, 100,000 steps of sparse-fsq + 100,000 steps",
        "belfusion: preset small, 3,000 steps of belfusion; other presets: paper 55,000",  # of both of its stages
    ]
    assert len(sentences) == len(starts)
    for sentence, start in zip(sentences, starts, strict=True):
        assert sentence.startswith(start)
