"""Bands that generated corpora must stay in, fixed from measurements of real people before methods are scored.

Conversation: Switchboard word timings (turns, phrases, backchannels), MAHNOB mimicry episodes, TALENT (gaze), Bentivoglio
et al. 1997 (blinks), and motion-energy synchrony of 20 dyads (effect size 0.28-0.35 for real against shuffled pairs).
Faces: two DECA fits, three seconds of an ARKit capture, four OpenFace recordings, the 120 of vc-dyads (Diao et al. 2024),
and the ground-truth rows of published REACT tables. Couplings: the 20 dyads of vc-dyads. Most sources are few, so bands are
wide. `acceptance` measures what these bands are of.
"""

from __future__ import annotations

from collections.abc import Mapping

# quantity -> (lowest, highest, measured)
BANDS: Mapping[str, tuple[float, float, float]] = {
    "phrase length, median s": (1.1, 1.9, 1.56),
    "turn length, median s": (3.5, 7.5, 5.35),
    "floor transfer, median s": (0.0, 0.7, 0.30),
    "share of time speaking": (0.36, 0.50, 0.425),
    "verbal backchannels per minute of partner speech": (1.8, 6.4, 4.08),
    "backchannel onset after phrase end, median s": (-0.2, 0.7, 0.12),
    "nods per minute": (2.3, 9.0, 2.3),  # measured as mimicry episodes only: a lower bound
    "smiles per minute": (0.8, 4.0, 0.81),  # likewise
    "blinks per minute": (20.0, 33.0, 26.0),
    "gaze at partner while listening": (0.58, 0.82, 0.70),
    "gaze at partner while speaking": (0.40, 0.64, 0.52),
}
# quantity -> (lowest, highest, source of the measurement on real people; "" where there is none)
FACES: Mapping[str, tuple[float, float, str]] = {
    "white noise in DECA expression": (0.01, 0.05, "0.034"),
    "white noise in DECA rotation": (0.003, 0.015, "0.003-0.011"),
    "white noise in DECA jaw": (0.03, 0.07, "0.03-0.07"),
    "white noise in FaceVerse expression": (0.004, 0.03, "0.007"),
    "white noise in FaceVerse rotation": (0.001, 0.011, "0.001"),
    "autocorrelation of expression at 0.2 s": (0.35, 0.70, "0.47"),
    "autocorrelation of rotation at 0.2 s": (0.70, 0.90, "0.81"),
    "effective rank of expression in 30 s": (4.0, 8.0, "5.8"),
    "components for 90 % of expression in 3 s": (3.0, 5.0, "3"),
    "components for 99 % of expression in 3 s": (7.0, 12.0, "8"),
    "first component of expression, all clips": (0.2, 0.5, ""),  # one mood is not most of the face
    "variance of rotation": (0.02, 0.09, "0.057"),
    "variance of translation": (0.02, 0.11, "0.075"),
    "AU12 share of time": (0.30, 0.55, "0.43-0.46"),
    "AU12 per minute": (11.0, 24.0, "16-17"),
    "AU12 median s": (0.25, 0.65, "0.33-0.37"),
    "AU12 mean s": (0.9, 2.2, "1.5-1.7"),
    "AU25 per minute": (35.0, 75.0, "54"),
    "AU25 median s": (0.16, 0.36, "0.25"),
    "AU4 per minute": (2.0, 22.0, "2-22"),
    "clips in which AU4 never changes": (0.0, 0.3, ""),
    "constant emotion channels": (0.03, 0.25, "0.165"),
    "variance of emotion within clips": (0.05, 0.085, "0.064-0.072"),
}
BETWEEN = (0.035, 0.07, "0.052")  # variance of emotion between clips, `hard`
# Share of variance that listeners of one speaker have in common, less the same with the link cut: what the speaker explains.
# It was never measured on real people; a linear predictor explains 2 to 4 % of four channels of vc-dyads.
EXPLAINED: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "clear": {
        "expression": (0.18, 0.40),
        "rotation": (0.20, 0.50),
        "translation": (0.15, 0.45),
        "action units": (0.10, 0.35),
    },
    "hard": {
        "expression": (0.04, 0.18),
        "rotation": (0.03, 0.18),
        "translation": (0.02, 0.15),
        "action units": (0.02, 0.12),
    },
}
# `hard`: mean CCC of a copy of one person with the other over 30-s windows, at once or a second late.
COUPLINGS: Mapping[str, tuple[float, float, float]] = {
    "AU06 at once": (0.06, 0.14, 0.101),
    "AU06 1 s late": (0.05, 0.13, 0.092),
    "AU12 at once": (0.08, 0.16, 0.121),
    "AU12 1 s late": (0.07, 0.15, 0.109),
    "movement at once": (0.01, 0.08, 0.034),
    "movement 1 s late": (0.03, 0.10, 0.056),
    "gaze at once": (-0.08, -0.015, -0.044),
    "gaze 1 s late": (-0.05, 0.0, -0.021),
}
SYNCHRONY = (0.1, 0.6)  # effect size of motion-energy synchrony, `hard`; 0.28-0.35 measured
