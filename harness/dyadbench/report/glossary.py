"""Words of the pages that a newcomer does not know: one place says what each means, the pages open it where it stands."""

from __future__ import annotations

from markupsafe import Markup, escape

WORDS = {
    "skill": "How far a method is on the way from the floor (0) to the ceiling (1): the mean over the headline metrics. It depends on no other method.",
    "floor": "A real listener of another conversation, who knows nothing of this speaker. A method below it adds nothing to picking a listener at random.",
    "ceiling": "The best that can be hoped for: another person who hears the same speaker. Where none can be drawn, the other appropriate reactions or a perfect one.",
    "rank": "The order of the skills. In brackets the places that a method may share: two methods share one where the interval of their paired difference holds 0, with at most 5 % false differences on a board. As these are tested together, the brackets may change with the other rows; the skill does not.",
    "interval": "95 % bootstrap over sessions, the same draws for all methods, and Student's t over seeds, the same draws for methods of the same seeds. One seed of a random method has none: nothing says what another would give.",
    "reference": "A row that is no method: floor, ceiling, copies of the speaker, averages, noise, or the truth itself. Never ranked.",
    "look-ahead": "How many frames of the speaker's future a reaction uses. It is measured: frames are changed and the reaction is watched. The online track allows none.",
    "x real time": "Seconds of reaction, all samples together, per second of computing (of the processor, where one thread sampled) on the machine that the record names. 100 means that a minute takes 0.6 seconds.",
    "seeds": "How many times the method was trained and sampled from scratch. A method that is random needs two for a rank.",
    "diversity": "How far the variety of the reactions is from the variety of real listeners: within their band, or by which factor outside. Too little is a method that always nods alike.",
    "synchrony": "How far the timing of the reaction to the speaker is from that of real listeners: within their band, or by which factor outside.",
    "realism": "How far the movement itself is from that of real listeners, whoever they listen to: within their band, or by which factor outside.",
    "among the best": "The best ranked method of a column, and every one that its paired difference does not tell from it.",
    "fails": "The metric does not order on these data what everybody knows, such as a real listener above noise. It is shown, but it is in no headline and no family, and nothing is best in it. The page on validity has the tests.",
    "target": "The value of the real listeners. For these metrics neither more nor less is better: closest to the target is.",
    "preset": "How large a model and how long a training. The preset small trains for minutes on a processor core and is not what a paper ran.",
    "ablation": "A method with one thing changed, to see what that thing is worth. It is shown beside its method and not ranked.",
    "reconstruction": "The true listener, encoded to tokens and decoded: what the tokenizer keeps. It is given the answer, so it is no method.",
    "speaker gain": "By how much the validation loss grows when the model is given a stranger instead of the speaker. About 0 means that it does not listen. It is in the unit of the method's own loss, so it compares seeds and settings of one method, not methods of different losses: nats per token for a cross entropy of tokens, weighted nats where some tokens weigh more, nats per token and diffusion step for a diffusion of tokens, bits per frame for a density, squared or absolute errors with the method's weights for the others.",
    "simulated": "People made by a program whose rules are known. It tests the harness and says nothing about real listeners.",
}  # fmt: skip
# What good is in a metric, and why one cares; keyed by how the metric's name begins.
METRICS = {
    "FRCorr": "Does the reaction move as an appropriate listener's does? 1 is the same movement, 0 none in common. This is what most papers compare.",
    "FRDist": "How far is the reaction from the nearest appropriate one, if small delays are forgiven? 0 is perfect. A still mean face does well here, so read it with diversity.",
    "FRDiv": "Do the samples of one clip differ as different listeners do? 0 is one answer for ever.",
    "FRVar": "Does the face move as much as real listeners' over time? Close to 0 is a frozen face.",
    "FRDvs": "Do different speakers get different reactions? Close to 0 is the same face for everybody.",
    "FRSyn": "By how many frames does the reaction follow the speaker? Real listeners are neither immediate nor endlessly late.",
    "CCC": "Does this channel move with the true listener's, at the same level and size? 1 is the same, 0 nothing in common.",
    "PCC": "Does this channel rise and fall with the true listener's, whatever the level and size?",
    "L2": "Distance from the true listener, frame by frame. Less is closer; a mean face is hard to beat here.",
    "FD": "Are the poses distributed as the true listener's? 0 is the same mean and spread. It ignores time.",
    "P-FD": "Are the poses of speaker and reaction, taken together, distributed as those of real pairs? 0 is the same.",
    "variation": "Does it move as much over time as real listeners? Too little is a frozen face, too much is jitter.",
    "diversity": "Do clips get different reactions, as with real listeners?",
    "SI": "Does it use as many different poses as the truth? Too few is a method that repeats itself.",
    "RPCC": "Is it coupled to the speaker as strongly as the true listener is? 0 is the same coupling.",
    "sync": "How strongly does it follow the speaker? As strongly as real listeners is right; more is mimicry.",
    "lag": "How far in time, before or after, is its movement from the speaker's? As far as real listeners' is right.",
    "HD": "Do speed, acceleration and jerk occur as often as in real movement? 0 is the same histogram.",
    "FMD": "Do one-second pieces of movement look like real ones? 0 is the same distribution.",
    "jitter": "Is it as steady as real listeners? Above 1 is shaking.",
    "growth": "Does the error grow over the clip? A method that feeds on its own output may drift.",
    "MSE": "Squared distance from the truth, frame by frame. Less is closer.",
    "dualtalk/diversity": "How far apart are the frames of one clip? As far as the truth's is right.",
    "SID": "Does it use as many different poses as the truth?",
}  # fmt: skip


def metric_text(name: str, suite: str) -> str:
    """What good is in a column of a suite, and why one cares; "" for a metric that nothing is written of."""
    head = name.partition(".")[0]
    return (
        METRICS.get(f"{suite}/{head}")
        or METRICS.get(head)
        or METRICS.get(head.removesuffix("-pooled").removesuffix("-official"), "")
    )


def term(word: str, text: str = "") -> Markup:
    """A word with its meaning, which hover, focus and touch open, and which prints as the word alone."""
    meaning = WORDS[word]
    return explained(text or word, meaning)


def explained(text: str, meaning: str) -> Markup:
    """Text with an explanation that opens on hover, focus and touch. Without one it is the text alone."""
    if not meaning:
        return escape(text)
    return Markup('<span class="term" tabindex="0">{}<span class="tip" role="note">{}</span></span>').format(
        text, meaning
    )
