"""Arrays and rows of files, and the features of sound."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.fixtures.hostile import Trap

from dyadbench.api import Setup
from dyadbench.datasets.config import ReactConfig
from dyadbench.datasets.features import mel_128, mfcc_78, mfcc_78_centred, wav2vec2, wav2vec2_conv
from dyadbench.datasets.react import ReactDataset
from dyadbench.files.npy import BadFile, read_npy, read_rows
from dyadbench_dense_fsq.config import PREDICTOR_PRESETS, TOKENIZER_PRESETS, PredictorConfig, TokenizerConfig
from dyadbench_dense_fsq.predictor import CrossModalAR
from dyadbench_dense_fsq.tokenizer import FrameTokenizer

RNG = np.random.default_rng(0)


def test_one_reader_for_arrays(tmp_path: Path) -> None:
    fortran = np.asfortranarray(RNG.standard_normal((4, 3)))
    np.save(tmp_path / "f.npy", fortran)
    assert np.array_equal(read_npy(tmp_path / "f.npy", (4, None)), fortran)
    np.save(tmp_path / "o.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    np.save(tmp_path / "s.npy", np.array(["a"]))
    np.save(tmp_path / "n.npy", np.array([1.0, np.inf]))
    (tmp_path / "t.npy").write_bytes((tmp_path / "f.npy").read_bytes()[:-5])
    (tmp_path / "p.npy").write_bytes(pickle.dumps(Trap()))
    for name, message in (
        ("o", "Python objects"),
        ("s", "numbers are expected"),
        ("n", "infinity at"),
        ("t", "truncated"),
        ("p", "not a readable"),
        ("x", "is missing"),
    ):
        with pytest.raises(BadFile, match=message):
            read_npy(tmp_path / f"{name}.npy")
    with pytest.raises(BadFile, match=r"shape \(4, 3\)"):
        read_npy(tmp_path / "f.npy", (4, 4))


def test_rows_name_the_line(tmp_path: Path) -> None:
    for text, message in (
        ("", "empty"),
        ("1,2\n3,4\n", "no header"),
        ("a,b\n1,2\n3\n", "line 3 has 1 columns"),
        ("a,b\n1,x\n", "line 2 holds something"),
        ("a,b\n1,nan\n", "line 2 holds NaN"),
        ("a,c\n1,2\n", "no column b; its header is 'a, c'"),
        ("a,b,a\n1,2,3\n", "more than one column a"),
        ("a;b\n1;2\n", "no column a; its header is 'a;b'"),
    ):
        (tmp_path / "r.csv").write_text(text)
        with pytest.raises(BadFile, match=message):
            read_rows(tmp_path / "r.csv", ("a", "b"))


def test_columns_are_read_by_name_wherever_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    for text in (
        "AU1,AU12\n1,2\n3,4\n",
        "AU12,AU1\n2,1\n4,3\n",
        ' "au01" , "AU12" \r\n"1","2"\r\n"3","4"\r\n',
        ",AU12,AU1,who\n0,2,1,Ann\n1,4,3,Ben\n",
    ):
        path.write_text(text)
        assert read_rows(path, ("AU1", "AU12")).tolist() == [[1, 2], [3, 4]], text


def test_features_hear_what_was_said_when() -> None:
    rate, frames = 44100, 100
    time = np.arange(4 * rate) / rate
    wave = (np.sin(2 * np.pi * 440 * time) * ((time > 1) & (time < 2))).astype(np.float32)
    for feature in (mfcc_78, mfcc_78_centred):
        coefficients = feature(wave, rate, frames, 25.0)
        assert coefficients.shape == (frames, 78)
        loud = coefficients[:, 0] > coefficients[:, 0].mean()
        assert loud[27:48].all() and not loud[:23].any() and not loud[53:].any()
    onset = np.abs(coefficients[24:28, 26:]).max()  # of the centred one, whose differences reach across video frames
    assert np.abs(coefficients[30:45, 26:]).max() < onset
    mel = mel_128(wave, rate, frames, 25.0)
    assert mel.shape == (4 * frames, 128)
    quiet = mel[:90].max()
    assert mel[120:190].max(1).min() > quiet + 3


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
def test_mfcc_78_is_kaldis_video_frame_by_video_frame(rate: int) -> None:
    kaldi = pytest.importorskip("kaldi_native_fbank")
    time = np.arange(2 * rate) / rate
    wave = (0.3 * np.sin(2 * np.pi * (200 + 300 * time) * time) + 0.05 * RNG.standard_normal(len(time))).astype(
        np.float32
    )
    wave[: rate // 4] *= 0.01  # quiet enough for the floor of the energy
    options = kaldi.MfccOptions()
    options.frame_opts.samp_freq, options.frame_opts.dither, options.energy_floor = rate, 0.0, 1.0
    features, block = mfcc_78(wave, rate, 50, 25.0).reshape(50, 3, 13, 2), rate // 25
    for frame in range(50):
        own = kaldi.OnlineMfcc(options)
        own.accept_waveform(rate, wave[frame * block : (frame + 1) * block].tolist())
        own.input_finished()
        assert own.num_frames_ready == 2
        a, b = (own.get_frame(n) for n in (0, 1))
        np.testing.assert_allclose(features[frame, 0], np.stack([a, b], 1), atol=2e-3)
        np.testing.assert_allclose(features[frame, 1], np.stack([0.3 * (b - a)] * 2, 1), atol=2e-3)
    assert not features[:, 2].any() and (features[:6, 0, 0] == 0).all()


KALDI = {  # MFCC of both analysis frames of a video frame, by kaldi-native-fbank 1.23 (dither 0, energy floor 1)
    3: [[2.889, 53.409, 60.024, 39.899, 5.99, -24.438, -42.253, -49.047, -50.348, -48.475, -41.991, -30.222, -16.324],
        [2.891, 54.443, 59.182, 36.887, 3.609, -23.658, -39.584, -48.195, -52.69, -51.148, -41.379, -26.259, -12.162]],
    24: [[2.886, 51.964, -10.207, -83.982, -80.745, -13.778, 50.814, 75.27, 52.907, 2.659, -32.36, -27.097, -1.416],
         [2.891, 50.845, -11.973, -86.964, -83.777, -14.923, 49.978, 71.606, 46.92, -3.218, -37.383, -30.781, -3.165]],
}  # fmt: skip


def test_mfcc_78_has_kaldis_numbers_coefficient_by_coefficient() -> None:
    """The same where kaldi-native-fbank is not installed."""
    time = np.arange(16000) / 16000
    wave = (0.3 * np.sin(2 * np.pi * (200 + 300 * time) * time)).astype(np.float32)
    features = mfcc_78(wave, 16000, 25, 25.0)
    for frame, both in KALDI.items():
        a, b = np.array(both)
        np.testing.assert_allclose(features[frame, :26], np.stack([a, b], 1).reshape(-1), atol=2e-3)
        np.testing.assert_allclose(features[frame, 26:52], np.repeat(0.3 * (b - a), 2), atol=2e-3)


@pytest.mark.parametrize("fps", [25.0, 30.0])
def test_mfcc_78_does_not_hear_the_future(fps: float) -> None:
    wave = RNG.standard_normal(32000).astype(np.float32) * 0.1
    changed = wave.copy()
    changed[16000:] = 0
    a, b = (mfcc_78(x, 16000, int(2 * fps), fps) for x in (wave, changed))
    assert np.array_equal(a[: int(fps)], b[: int(fps)]) and not np.array_equal(a[int(fps)], b[int(fps)])


def test_mel_rows_do_not_hear_the_future() -> None:
    rate = 16000
    wave = RNG.standard_normal(4 * rate).astype(np.float32) * 0.1
    changed = wave.copy()
    changed[2 * rate :] = 0
    a, b = mel_128(wave, rate, 100, 25.0), mel_128(changed, rate, 100, 25.0)
    assert np.array_equal(a[: 4 * 50], b[: 4 * 50])


def test_convolution_features_of_wav2vec2_are_the_models_two_rows_per_frame_after_a_row_of_zeros(
    tmp_path: Path,
) -> None:
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    torch.manual_seed(0)
    model = transformers.Wav2Vec2Model(transformers.Wav2Vec2Config(**sizes)).eval()
    model.save_pretrained(tmp_path)
    wave = np.random.default_rng(0).standard_normal(16_000 * 2 + 100).astype(np.float32)  # the recording goes on
    rows = wav2vec2_conv(str(tmp_path))(wave, 16_000, 50, 25.0)
    heard = wave[:32_000]
    with torch.no_grad():
        own = model(torch.from_numpy((heard - heard.mean()) / heard.std())[None]).extract_features[0]
    assert rows.shape == (100, 512) and own.shape == (99, 512)
    assert not rows[0].any(), "as the release, everything is heard one row late"
    np.testing.assert_allclose(rows[1:], own, atol=1e-4)
    assert wav2vec2_conv(str(tmp_path))(wave, 16_000, 60, 30.0).shape == (120, 512), "two rows per frame at any rate"
    states = wav2vec2(str(tmp_path))(wave, 16_000, 50, 25.0)
    assert states.shape == (50, 16)
    longer = np.concatenate([wave, wave, wave])  # was squeezed into the frames: all of it was heard too early
    np.testing.assert_array_equal(wav2vec2(str(tmp_path))(longer, 16_000, 50, 25.0), states)


def test_a_dataset_with_a_wav2vec2_model_offers_both_kinds_of_features_and_dense_fsq_may_hear_either(
    tmp_path: Path,
) -> None:
    from tests.datasets.test_check_real import write

    data = ReactDataset(ReactConfig(wav2vec2="some/model"), write(tmp_path / "r"))
    assert (data.audio["wav2vec2"].dim, data.audio["wav2vec2"].per_frame) == (768, 1)
    assert (data.audio["wav2vec2-conv"].dim, data.audio["wav2vec2-conv"].per_frame) == (512, 2)
    config = PredictorConfig(**PREDICTOR_PRESETS["smoke"], audio="wav2vec2-conv")
    setup = Setup(data.space, data.audio, True, seed=0)
    tokenizer = FrameTokenizer(TokenizerConfig(**TOKENIZER_PRESETS["smoke"]), setup)
    assert CrossModalAR(config, setup, tokenizer).needs.audio == ("wav2vec2-conv",)
