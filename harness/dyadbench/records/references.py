"""The rows that every board is read against, by name."""

from __future__ import annotations

from dyadbench.records.record import Record

NULL = "mismatched-listener"
CEILINGS = {"fresh-listener": "another listener of the same speaker", "oracle-set": "the other appropriate listeners"}
ROLES = {  # what a reference row is there for
    NULL: "floor", "fresh-listener": "ceiling", "oracle": "truth", "oracle-set": "truth", "oracle-motion": "readout", "mime": "copy", "lagged-mime": "copy",
    "mean": "mean", "mean-sequence": "mean", "median": "mean", "random": "noise", "random-2025": "noise",
}  # fmt: skip


def only_named_so(record: Record) -> bool:
    """Whether a record has a reference's name and is not of that reference: it would be the floor or ceiling of all rows."""
    return record.method in ROLES and record.method_config["predictor"]["name"] != record.method
