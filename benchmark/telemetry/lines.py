"""The file of samples: JSON Lines, one sample a line, readable after a kill at any instant.

The first line (kind ``start``) says when and how; then come ``identity``, ``gpu`` and ``host``.
"""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from benchmark.telemetry.errors import SamplesUnreadable
from benchmark.telemetry.model import GpuIdentity, GpuSample, HostSample, Record, Telemetry

_REMEDY = "Take the file out of the way; it is the record of one recording and of nothing else."


class Start(Record):
    """How the recording began."""

    started_monotonic_s: float
    interval_s: float
    gpu_watched: bool


def line(kind: str, record: BaseModel) -> bytes:
    """One record as one line."""
    return b'{"kind":"%s",%s\n' % (kind.encode(), record.model_dump_json().encode()[1:])


def read_telemetry(path: Path) -> Telemetry:
    """Read a file of samples back, also one whose writer was killed.

    A last line without its end is what a kill leaves, and is passed over. Raises SamplesUnreadable
    for anything else that is not a sample, with file and line.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SamplesUnreadable(f"{path} cannot be read: {error.strerror}", _REMEDY) from error
    complete, _, _ = content.rpartition(b"\n")
    start: Start | None = None
    identity: GpuIdentity | None = None
    gpu: list[GpuSample] = []
    host: list[HostSample] = []
    for number, text in enumerate(complete.splitlines(), start=1):
        try:
            kind, fields = _parse(text)
            if kind == "start" and start is None:
                start = Start.model_validate(fields)
            elif kind == "identity":
                identity = GpuIdentity.model_validate(fields)
            elif kind == "gpu":
                gpu.append(GpuSample.model_validate(fields))
            elif kind == "host":
                host.append(HostSample.model_validate(fields))
            else:
                raise ValueError(f"a line of kind {kind!r} does not belong here")
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            field = ".".join(map(str, problem["loc"]))
            raise SamplesUnreadable(
                f"{path}, line {number}, {field}: {problem['msg']}", _REMEDY
            ) from error
        except ValueError as error:
            raise SamplesUnreadable(f"{path}, line {number}: {error}", _REMEDY) from error
    if start is None:
        raise SamplesUnreadable(f"{path} does not begin with a start line", _REMEDY)
    return Telemetry(
        started_monotonic_s=start.started_monotonic_s,
        interval_s=start.interval_s,
        gpu_watched=start.gpu_watched,
        identity=identity,
        gpu=tuple(gpu),
        host=tuple(host),
    )


def _parse(text: bytes) -> tuple[str, dict[str, Any]]:
    fields = json.loads(text)
    if not isinstance(fields, dict):
        raise ValueError("not a record")
    return str(fields.pop("kind", "")), fields
