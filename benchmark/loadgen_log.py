"""Reads what LoadGen wrote: its own verdict, its summary, and each query's raw latency."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from benchmark.errors import MeasurementError
from benchmark.validation import Record

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUMMARY_FILE = "mlperf_log_summary.txt"
DETAIL_FILE = "mlperf_log_detail.txt"
TRACE_FILE = "mlperf_log_trace.json"

_MARK = ":::MLLOG "

# What C++ prints for the rate of a single query, which took no time from the first to the last.
_NO_NUMBER = re.compile(r'(?<="value": )-?(?:nan|inf)(?=,)')


class LoadgenVerdict(Record):
    """LoadGen's own word on one test."""

    version: str
    valid: bool
    invalid_reasons: tuple[str, ...] = ()
    summary: dict[str, float | str] = Field(default_factory=dict)
    """LoadGen's ``result_*`` figures by their own names, the prefix dropped."""
    early_stopping: str = ""
    """The early-stopping paragraph of the summary, verbatim."""


def read_verdict(folder: Path) -> LoadgenVerdict:
    """Read LoadGen's summary and detail log from ``folder``.

    Raises:
        MeasurementError: LoadGen left no result there.
    """
    results: dict[str, float | str] = {}
    errors: list[str] = []
    version = "unknown"
    for entry in _detail_entries(folder / DETAIL_FILE):
        key, value = str(entry.get("key", "")), entry.get("value")
        if key == "loadgen_version":
            version = str(value)
        elif key.startswith("result_") and value is not None:
            results[key.removeprefix("result_")] = (
                float(value)
                if isinstance(value, int | float) and not isinstance(value, bool)
                else str(value)
            )
        elif key == "error_runtime" or _is_error(entry):
            errors.append(str(value))
    if "validity" not in results:
        raise MeasurementError(
            f"LoadGen wrote no result into {folder}.", "Look at its log files there."
        )
    valid = results["validity"] == "VALID"
    summary = _summary_text(folder / SUMMARY_FILE)
    return LoadgenVerdict(
        version=version,
        valid=valid,
        invalid_reasons=() if valid else _invalid_reasons(summary, errors),
        summary=results,
        early_stopping=_early_stopping(summary),
    )


def read_queries(trace: Path) -> NDArray[Any]:
    """Return each query's times as int64 of shape [queries, 3], in the order of arrival.

    Columns, in ns: when it was due (from the first query's due time), how long after that LoadGen
    issued it, and its latency from due to complete. A query of several samples is complete when
    its last sample is. The file as a whole is not valid JSON, so it is read line by line.

    Raises:
        MeasurementError: the trace is missing or holds no query.
    """
    import numpy

    queries: dict[int, tuple[int, int, int]] = {}
    for number, due, issued, complete in _trace_samples(trace):
        known = queries.get(number)
        if known is None or complete > known[2]:
            queries[number] = (due, issued, complete)
    if not queries:
        raise MeasurementError(f"LoadGen's trace {trace} holds no query.")
    rows = numpy.array([queries[number] for number in sorted(queries)], dtype=numpy.int64)
    rows[:, 0] -= rows[0, 0]
    return rows


def _detail_entries(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8", errors="replace") as stream:
            for line in stream:
                if line.startswith(_MARK):
                    entry = json.loads(_NO_NUMBER.sub("null", line.removeprefix(_MARK)))
                    if isinstance(entry, dict):
                        yield entry
    except (OSError, json.JSONDecodeError) as error:
        raise MeasurementError(f"LoadGen's log {path} cannot be read: {error}.") from error


def _is_error(entry: dict[str, Any]) -> bool:
    metadata = entry.get("metadata")
    return isinstance(metadata, dict) and bool(metadata.get("is_error"))


def _summary_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise MeasurementError(f"LoadGen's summary {path} cannot be read: {error}.") from error


def _trace_samples(path: Path) -> Iterator[tuple[int, int, int, int]]:
    """Yield each sample's query number, due time, and due to issued and to complete, in ns."""
    try:
        with path.open(encoding="utf-8", errors="replace") as stream:
            for line in stream:
                if '"name":"Sample"' in line and '"ph":"b"' in line:
                    event = json.loads(line.strip().rstrip(","))
                    details = event["args"]
                    yield (
                        int(details["query_seq"]),
                        round(float(event["ts"]) * 1000),
                        int(details["issue_start_ns"]),
                        int(details["complete_ns"]),
                    )
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise MeasurementError(f"LoadGen's trace {path} cannot be read: {error}.") from error


def _invalid_reasons(summary: str, errors: list[str]) -> tuple[str, ...]:
    reasons = re.findall(r"^\s*(\w[\w ]*) satisfied\s*: NO$", summary, re.MULTILINE)
    return tuple(f"{reason} not satisfied" for reason in reasons) or tuple(errors)


def _early_stopping(summary: str) -> str:
    found = re.search(r"Early Stopping Result:\n(.*?)\n\n", summary, re.DOTALL)
    return found.group(1).strip() if found else ""
