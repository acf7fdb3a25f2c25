"""Audio features from waveforms, the same for real and simulated voices.

`mfcc-78` is that of the REACT baselines: Kaldi's MFCC with torchaudio's settings of the two 25 ms analysis frames (10 ms
apart) that fit into a video frame's own sound, and what their delta function makes of two frames. `mfcc-78-centred` is
this project's: differences to the neighbouring video frames, which look one frame ahead at 25 frames per second and two
at 30 (their sound of 35 ms is longer than a frame). `mel-128`: log-mel at four rows per video frame.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from io import BufferedReader
from pathlib import Path

import numpy as np

from dyadbench.api import AudioSpec, DyadbenchError
from dyadbench.files.digest import digest_of
from dyadbench.files.npy import BadFile, npy_bytes, read_npy

VERSION = 3  # of everything below; part of the cache's file names
FLOOR = 1e-10
KALDI_FLOOR = float(np.finfo(np.float32).eps)  # of the mel energies and of the energy
RATES = (1000, 400_000)  # samples per second; a damaged header must not decide how much is computed
MAX_SAMPLES = 1 << 28  # of one file, 1.5 hours at 48 kHz
MAX_BYTES = MAX_SAMPLES * 4
MAX_CHUNKS = 10_000  # of a RIFF file before its sound
STREAMED = 0x7FFFF000  # a data chunk that declares so much was written before its length was known
SPEECH_RATE = 16000  # of mel-128 and wav2vec 2.0
FULL_SCALE = 16.0  # peak of float samples beyond which they were not divided; a little above 1 is an overdriven voice
Wave = np.ndarray  # (samples,) float32, mono, in [-1, 1]


@dataclass(frozen=True)
class Feature:
    """A named feature: its shape, and the function (wave, rate, frames, fps) -> (frames * per_frame, dim)."""

    spec: AudioSpec
    compute: Callable[[Wave, int, int, float], np.ndarray]


def read_wav(path: Path) -> tuple[Wave, int]:
    """Mono float32 samples in [-1, 1] and the rate; channels are averaged. Raises BadFile, also for another scale."""
    samples, rate = read_sound(path)
    if (peak := float(np.abs(samples).max())) > FULL_SCALE:
        raise BadFile(f"{path} has samples up to {peak:.0f}; divide them by the full scale so that they lie in [-1, 1]")
    return samples.mean(1), rate


def read_sound(path: Path) -> tuple[np.ndarray, int]:
    """(samples, channels) float32 as stored, and the rate. Raises BadFile, also for one that is cut short."""
    import soundfile

    try:
        check_wav_length(path)
        with soundfile.SoundFile(str(path)) as sound:
            if not RATES[0] <= sound.samplerate <= RATES[1]:
                raise BadFile(f"{path} has {sound.samplerate} samples per second; {RATES[0]} to {RATES[1]} are read")
            if len(sound) * sound.channels > MAX_SAMPLES:
                raise BadFile(f"{path} declares {len(sound) * sound.channels} samples, {MAX_SAMPLES} are allowed")
            samples, rate = sound.read(dtype="float32", always_2d=True), sound.samplerate
    except FileNotFoundError:
        raise BadFile(f"{path} is missing; without sound, run with --data-set audio=false") from None
    except (RuntimeError, OSError, ValueError, TypeError) as error:
        raise BadFile(f"{path} is not a readable wav file: {error}") from None
    if not len(samples):
        raise BadFile(f"{path} holds no samples")
    if not np.isfinite(samples).all():
        raise BadFile(f"{path} holds NaN or infinite samples")
    return samples, int(rate)


def sound_seconds(path: Path) -> float | None:
    """How long a recording is, by its header; None where there is none that can be read, which its reader then says."""
    import soundfile

    try:
        check_wav_length(path)
        facts = soundfile.info(str(path))
    except (DyadbenchError, RuntimeError, OSError, ValueError, TypeError):
        return None
    return float(facts.frames / facts.samplerate) if facts.frames and RATES[0] <= facts.samplerate <= RATES[1] else None


def check_wav_length(path: Path) -> None:
    """Compares what a RIFF file's header declares with what is there, which libsndfile does not. Raises BadFile, OSError."""
    with path.open("rb") as file:
        size = os.fstat(_limited(path, file).fileno()).st_size
        if file.read(12)[:4] != b"RIFF":
            return
        for _ in range(MAX_CHUNKS):
            if len(head := file.read(8)) < 8:
                return
            name, declared = struct.unpack("<4sI", head)
            if name == b"data":
                there = size - file.tell()
                if declared == 0 < there:
                    raise BadFile(
                        f"{path} declares no sound and {there} bytes follow: its writer never finished the header; "
                        "write the file once more (ffmpeg -i OLD.wav NEW.wav) or record again"
                    )
                if there < declared < STREAMED:
                    raise BadFile(f"{path} declares {declared} bytes of sound and holds {there}; it is truncated")
                return
            file.seek(declared + declared % 2, os.SEEK_CUR)
        raise BadFile(f"{path} has {MAX_CHUNKS} chunks and none of them holds sound")


def _limited(path: Path, file: BufferedReader) -> BufferedReader:
    """Refuses what is too long to be a clip, before anybody reads it."""
    if (size := os.fstat(file.fileno()).st_size) > MAX_BYTES:
        raise BadFile(f"{path} is {size >> 20} MiB long, {MAX_BYTES >> 20} are allowed")
    return file


def _frames_at(wave: Wave, starts: np.ndarray, size: int) -> np.ndarray:
    """(len(starts), size): windows of the wave, zeros outside it."""
    padded = np.concatenate([np.zeros(size, np.float32), wave, np.zeros(size + 1, np.float32)])
    view = np.lib.stride_tricks.sliding_window_view(padded, size)
    return view[np.clip(starts + size, 0, len(view) - 1)]


@cache
def _mel_bank(rate: int, size: int, bands: int, low: float, high: float) -> np.ndarray:
    """(size / 2 + 1, bands) triangles equally spaced in mel = 1127 ln(1 + f / 700)."""
    mel = 1127 * np.log1p(np.arange(size // 2 + 1) * rate / size / 700)
    edges = np.linspace(1127 * np.log1p(low / 700), 1127 * np.log1p(high / 700), bands + 2)
    up = (mel[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    down = (edges[2:] - mel[:, None]) / (edges[2:] - edges[1:-1])
    return np.maximum(0, np.minimum(up, down)).astype(np.float32)


def _mel(windows: np.ndarray, window: np.ndarray, rate: int, bands: int, low: float, high: float) -> np.ndarray:
    """(n, size) windows of a wave -> (n, bands) mel energies."""
    import scipy.fft

    size = 1 << (windows.shape[1] - 1).bit_length()
    power = np.abs(scipy.fft.rfft(windows * window, size, axis=1)) ** 2  # (n, size / 2 + 1)
    return power @ _mel_bank(rate, size, bands, low, high)


def _cepstra(windows: np.ndarray, rate: int, floor: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """(n, size) windows less their mean -> (n, 13) MFCC with Kaldi's pre-emphasis, Povey window, 23 bands and lifter."""
    import scipy.fft

    size = windows.shape[1]
    emphasised = windows - 0.97 * np.concatenate([windows[:, :1], windows[:, :-1]], 1)
    povey = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / (size - 1))) ** 0.85
    mel = np.log(floor(_mel(emphasised, povey.astype(np.float32), rate, 23, 20.0, rate / 2)))
    lifter = 1 + 11 * np.sin(np.pi * np.arange(13) / 22)
    return scipy.fft.dct(mel, type=2, norm="ortho", axis=1)[:, :13] * lifter


def mfcc_78(wave: Wave, rate: int, frames: int, fps: float) -> np.ndarray:
    """(frames, 78) as the REACT baselines compute it: kind (itself, delta, delta of delta) by coefficient by analysis frame.

    The first coefficient is the log energy, not below 0 (torchaudio's default floor of 1 on the sum of squares). Within two
    frames a and b torchaudio's deltas are 0.3 (b - a) for both, and 0 for the deltas of deltas. Where a video frame is
    shorter than 35 ms, as at 30 per second, the analysis frames begin in the one before, so that nothing is heard ahead.
    """
    size, hop = int(0.025 * rate), int(0.010 * rate)
    first = (np.arange(frames) * rate / fps).round().astype(int) - max(0, size + hop - int(rate / fps))
    windows = _frames_at(wave, (first[:, None] + np.array([0, hop])).reshape(-1), size)
    windows = windows - windows.mean(1, keepdims=True)
    c = _cepstra(windows, rate, lambda mel: np.maximum(mel, KALDI_FLOOR))
    c[:, 0] = np.maximum(np.log(np.maximum((windows**2).sum(1), KALDI_FLOOR)), 0.0)
    c = c.reshape(frames, 2, 13).swapaxes(1, 2)  # (frames, 13, 2)
    delta = np.repeat(0.3 * (c[:, :, 1:] - c[:, :, :1]), 2, 2)
    return np.stack([c, delta, np.zeros_like(c)], 1).reshape(frames, 78).astype(np.float32)


def mfcc_78_centred(wave: Wave, rate: int, frames: int, fps: float) -> np.ndarray:
    """(frames, 78), [13 x 2, 13 x 2, 13 x 2]: MFCC of both analysis frames, and central differences over video frames."""
    size, hop = round(0.025 * rate), round(0.010 * rate)
    starts = (np.arange(-1, frames + 1)[:, None] * rate / fps).round().astype(int) + np.array(
        [0, hop]
    )  # one frame more each side
    windows = _frames_at(wave, starts.reshape(-1), size)
    windows = windows - windows.mean(1, keepdims=True)
    c = _cepstra(windows, rate, lambda mel: mel + FLOOR).reshape(frames + 2, 2, 13)
    delta = (c[2:] - c[:-2]) / 2
    second = c[2:] - 2 * c[1:-1] + c[:-2]
    parts = [each.reshape(frames, 26) for each in (c[1:-1], delta, second)]
    return np.concatenate(parts, 1).astype(np.float32)


def resample(wave: Wave, rate: int) -> Wave:
    """The wave at 16 kHz."""
    from math import gcd

    import scipy.signal

    step = gcd(rate, SPEECH_RATE)
    return scipy.signal.resample_poly(wave, SPEECH_RATE // step, rate // step).astype(np.float32)


def mel_128(wave: Wave, rate: int, frames: int, fps: float) -> np.ndarray:
    """(4 frames, 128) log-mel at 16 kHz: 64 ms windows that end with their row's quarter of the video frame."""
    wave, rate = resample(wave, rate), SPEECH_RATE
    size = round(0.064 * rate)
    ends = (np.arange(1, 4 * frames + 1) * rate / (4 * fps)).round().astype(int)
    windows = _frames_at(wave, ends - size, size)
    hann = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)
    return np.log(_mel(windows, hann, rate, 128, 0.0, rate / 2) + FLOOR).astype(np.float32)


def _of_frames(wave: Wave, rate: int, frames: int, fps: float) -> Wave:
    """The sound of exactly so many frames at 16 kHz, cut or followed by silence: a longer one would be squeezed into them."""
    samples = round(frames / fps * SPEECH_RATE)
    mono = resample(wave, rate)[:samples]
    return np.pad(mono, (0, samples - len(mono)))


def wav2vec2(model: str) -> Callable[[Wave, int, int, float], np.ndarray]:
    """The 768-d contextual states of a wav2vec 2.0 model, resampled to the frame rate. Not causal.

    `model` is a folder or a hub id; needs the extra `wav2vec2`.
    """

    def compute(wave: Wave, rate: int, frames: int, fps: float) -> np.ndarray:
        import torch

        mono = _of_frames(wave, rate, frames, fps)
        states = _wav2vec2_output(model, mono).last_hidden_state  # (1, 50 per second, 768)
        resized = torch.nn.functional.interpolate(states.mT, size=frames, mode="linear", align_corners=True)
        return resized[0].T.numpy().astype(np.float32)

    return compute


def wav2vec2_conv(model: str) -> Callable[[Wave, int, int, float], np.ndarray]:
    """(2 frames, 512): what a wav2vec 2.0 model hears below its transformer, layer-normed, as Dense-FSQ's release takes it.

    At 25 frames per second the model gives 2 frames - 1 rows. The release puts a row of zeros before them, so all is heard
    20 ms late. Other rates are resampled to two rows per frame after that. Not causal: the first convolution is normalised
    over the whole sound. `model` is a folder or a hub id; needs the extra `wav2vec2`.
    """

    def compute(wave: Wave, rate: int, frames: int, fps: float) -> np.ndarray:
        import torch

        mono = _of_frames(wave, rate, frames, fps)
        rows = torch.nn.functional.pad(_wav2vec2_output(model, mono).extract_features, (0, 0, 1, 0))  # (1, N, 512)
        if rows.shape[1] != 2 * frames:
            rows = torch.nn.functional.interpolate(rows.mT, size=2 * frames, mode="linear", align_corners=True).mT
        return rows[0].numpy().astype(np.float32)

    return compute


def _wav2vec2_output(model: str, mono: Wave):  # type: ignore[no-untyped-def]  # as below
    """All that a model computes of 16 kHz sound, standardised as the models were trained."""
    import torch

    mono = (mono - mono.mean()) / (mono.std() + 1e-7)
    with torch.no_grad():
        return _wav2vec2_model(model)(torch.from_numpy(mono)[None])


@cache
def model_digest(model: str) -> str:
    """What features of a model are kept under: a hash of the folder's files, or of a hub id. Read once per process."""
    folder = Path(model)
    return (digest_of(folder) if folder.is_dir() else hashlib.sha256(model.encode()).hexdigest())[:16]


@cache
def _wav2vec2_model(model: str):  # type: ignore[no-untyped-def]  # transformers publishes no usable type here
    try:
        from transformers import Wav2Vec2Model
    except ImportError:
        raise BadFile("the feature wav2vec2 needs transformers: pip install 'dyadbench[wav2vec2]'") from None
    return Wav2Vec2Model.from_pretrained(model, local_files_only=Path(model).is_dir()).eval()


FEATURES: Mapping[str, Feature] = {
    "mfcc-78": Feature(AudioSpec(dim=78), mfcc_78),
    "mfcc-78-centred": Feature(AudioSpec(dim=78, causal=False), mfcc_78_centred),
    "mel-128": Feature(AudioSpec(dim=128, per_frame=4, causal=True), mel_128),
}


def cached(path: Path, name: str, feature: Feature, frames: int, fps: float, folder: Path) -> np.ndarray:
    """The feature of a wav file, computed once for each content of the file and kept in `folder`."""
    from dyadbench.files.atomic import atomic_write

    if not path.is_file():
        raise BadFile(f"{path} is missing; without sound, run with --data-set audio=false")
    try:
        with path.open("rb") as file:
            content = hashlib.file_digest(_limited(path, file), "sha256").hexdigest()[:32]
    except OSError as error:
        raise BadFile(f"{path} is not a readable wav file: {error}") from None
    stored = folder / name / f"v{VERSION}-{content}-{frames}-{fps:g}.npy"
    shape = (frames * feature.spec.per_frame, feature.spec.dim)
    with contextlib.suppress(BadFile):  # none yet, or damaged: computed below
        return read_npy(stored, shape)
    values = _computed(path, feature, frames, fps)
    with contextlib.suppress(DyadbenchError):  # a read-only folder: computing again next time is only slower
        atomic_write(stored, npy_bytes(values), sync=False)
    return values


def feature_of_wav(path: Path, name: str, frames: int, fps: float) -> np.ndarray:
    """A feature of a wav file by name, (frames * per_frame, dim) for `frames` video frames at `fps`.

    Sound may be up to one frame shorter than the video, and longer. Raises DyadbenchError for another name, BadFile for a
    file that cannot be read or is too short.
    """
    if name not in FEATURES:
        raise DyadbenchError(f"there is no audio feature {name!r}; there are {', '.join(FEATURES)}")
    return _computed(path, FEATURES[name], frames, fps)


def _computed(path: Path, feature: Feature, frames: int, fps: float) -> np.ndarray:
    wave, rate = read_wav(path)
    if len(wave) / rate * fps < frames - 1 - 1e-6:  # features hear silence in the one frame that may be missing
        raise BadFile(f"{path} holds {len(wave) / rate:.1f} s of sound for {frames / fps:.1f} s of motion")
    return feature.compute(wave, rate, frames, fps)
