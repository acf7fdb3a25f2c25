"""The one place where a predictor's `accepts` meets the tokens of its tokenizer."""

from __future__ import annotations

from dyadbench.api import AcceptedTokens, DyadbenchError, Tokenizer


def demand_tokens(name: str, accepts: AcceptedTokens, tokenizer: Tokenizer | None) -> None:
    """Raises DyadbenchError where predictor `name` cannot stand on the tokens of `tokenizer`, before it is built."""
    advice = f"; take {_either(accepts.such_as)}" if accepts.such_as else ""
    if tokenizer is None:
        raise DyadbenchError(f"predictor {name!r} stands on tokens, but its method names no tokenizer{advice}")
    if fault := _fault(accepts, tokenizer):
        raise DyadbenchError(f"predictor {name!r} {fault}{advice}")


def _fault(accepts: AcceptedTokens, tokenizer: Tokenizer) -> str | None:
    spec = tokenizer.tokens
    every, ids = spec.frames_per_token, spec.groups * spec.residual
    if every is None and not accepts.sparse:
        return "needs evenly spaced tokens, but its tokenizer makes sparse ones"
    if every is not None and (every < accepts.least or (accepts.most is not None and every > accepts.most)):
        return f"needs tokens of {_frames(accepts)}, but its tokenizer makes tokens of {every}"
    if ids != 1 and not accepts.grid:
        return f"needs one codebook, but its tokenizer has {spec.groups} groups of {spec.residual}"
    if every is not None and accepts.window is not None and every + (spec.lookahead or 0) != accepts.window * every:
        encoded = (every + (spec.lookahead or 0)) / every
        return f"needs windows of {accepts.window} tokens, but its tokenizer encodes {encoded:g} together"
    if missing := [member for member in accepts.members if not callable(getattr(tokenizer, member, None))]:
        return f"needs a tokenizer with the method {missing[0]}, which {type(tokenizer).__name__} does not have"
    return None


def _frames(accepts: AcceptedTokens) -> str:
    if accepts.most == accepts.least:
        return "1 frame" if accepts.least == 1 else f"{accepts.least} frames"
    return f"{accepts.least} or more frames" if accepts.most is None else f"{accepts.least} to {accepts.most} frames"


def _either(names: tuple[str, ...]) -> str:
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))
