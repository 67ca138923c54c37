"""A comparison as the sections of a document. Every format renders these, so all say the same."""

from __future__ import annotations

from collections.abc import Iterator

from core.report.comparison_costs import HEADERS as COST_HEADERS
from core.report.comparison_costs import CostPair, leg_text, per_million_text
from core.report.comparison_details import endpoint_table, measurement_table
from core.report.comparison_method import method_text
from core.report.comparison_words import (
    advisory_notes,
    endpoint_verdict_text,
    further_text,
    leg_facts,
    look_text,
    several_paths,
    target_text,
)
from core.report.comparisons import ComparisonReport
from core.report.document import Section, Table
from core.verdict.figures import percent_text, span_text, value_text
from core.verdict.model import (
    Comparison,
    Endpoint,
    LegFigure,
    Question,
)

INTERVAL = "90 % interval (%)"


def sections(report: ComparisonReport) -> tuple[Section, ...]:
    """Return what a report says below its verdict, the most important first."""
    comparison = report.comparison
    found = [
        *_refusals(comparison),
        _results(report),
        *_warnings(comparison),
        *_void(comparison),
        _legs(comparison),
        *_noise(comparison),
        *_mechanisms(comparison),
        *_details(comparison),
        *_cost(comparison, report.cost),
        Section("method", "Method", prose=method_text(comparison)),
        Section("notice", "Notice", lines=(comparison.notice,)),
    ]
    return tuple(found)


def _refusals(comparison: Comparison) -> Iterator[Section]:
    if not comparison.refusals:
        return
    refused = [each.key for each in comparison.refusals if not each.allowed]
    wanted = " ".join(f"--allow {key}" for key in dict.fromkeys(refused))
    how = (f"To compare them all the same, marked on every page and never within target: {wanted}",)
    yield Section(
        "refusals",
        "Why the legs are not comparable",
        lines=tuple(
            f"{each.key}{' (allowed)' if each.allowed else ''}: {each.sentence}"
            for each in comparison.refusals
        ),
        notes=how if refused else (),
        kind="warnings",
    )


def _results(report: ComparisonReport) -> Section:
    comparison = report.comparison
    if not comparison.measurements:
        return Section("results", "Results", lines=("Nothing was computed.",))
    lines = (
        f"target: an overhead below {target_text(comparison)}",
        look_text(comparison),
        further_text(comparison, report.cost),
    )
    notes = (note for note in comparison.notes() if note != comparison.notice)
    return Section(
        "results",
        "Results",
        lines=tuple(line for line in lines if line),
        tables=(_result_table(comparison),),
        notes=(*advisory_notes(comparison), *notes),
    )


def _result_table(comparison: Comparison) -> Table:
    paths = several_paths(comparison.measurements)
    decides = comparison.look is not None
    labels = (comparison.first.label, comparison.second.label)
    headers = (
        *("scenario", "batch", *(("path",) if paths else ()), "metric", *labels),
        *("overhead (%)", INTERVAL, *(("deciding interval (%)",) if decides else ())),
        "verdict",
    )
    numbers = range(headers.index("metric") + 1, len(headers) - 1)
    rows = [
        (
            *(each.scenario, str(each.batch_size), *((each.path,) if paths else ())),
            *_endpoint_cells(end, comparison.target_percent, decides),
            endpoint_verdict_text(end, each.unit, allowed=bool(comparison.allowed)),
        )
        for each in comparison.measurements
        for end in each.endpoints
    ]
    return Table("Overhead by scenario and batch size", headers, tuple(rows), (1, *numbers))


def _endpoint_cells(end: Endpoint, target: float, decides: bool) -> tuple[str, ...]:
    found = end.estimate
    return (
        f"{end.metric} ({end.unit})",
        *(_median(figure) for figure in (end.first, end.second)),
        percent_text(found.overhead_percent if found else None, target),
        span_text(found.interval_percent if found else None, target),
        *((span_text(found.decision_percent if found else None, target),) if decides else ()),
    )


def _median(figure: LegFigure | None) -> str:
    return "-" if figure is None else value_text(figure.median)


def _warnings(comparison: Comparison) -> Iterator[Section]:
    if comparison.warnings:
        yield Section("warnings", "Warnings", lines=comparison.warnings, kind="warnings")


def _void(comparison: Comparison) -> Iterator[Section]:
    lines = tuple(sentence for each in comparison.measurements for sentence in each.void)
    if lines:
        yield Section("void", "Blocks that are void", lines=lines, kind="warnings")


def _legs(comparison: Comparison) -> Section:
    first, second = leg_facts(comparison.first), leg_facts(comparison.second)
    rows = tuple(
        (name, said, other) for (name, said), (_, other) in zip(first, second, strict=True)
    )
    asked = {
        Question.OVERHEAD: "what a layer costs",
        Question.NOISE: "A/A, how far apart the same leg comes out when it is measured twice",
    }[comparison.question]
    labels = (comparison.first.label, comparison.second.label)
    return Section(
        "legs",
        "What was compared",
        lines=(f"question: {asked}",),
        tables=(Table("Both legs", ("", *labels), rows, stacked=True),),
    )


def _noise(comparison: Comparison) -> Iterator[Section]:
    noise = comparison.noise
    if noise is None:
        return
    target = comparison.target_percent
    rows = tuple(
        (
            row.measurement,
            row.metric,
            percent_text(row.estimate.overhead_percent, target),
            span_text(row.estimate.interval_percent, target),
            value_text(row.estimate.noise_percent),
        )
        for row in noise.rows
    )
    headers = ("measurement", "metric", "difference (%)", INTERVAL, "unit to unit (%)")
    source = {"A/A": "A/A", "halves": "halves of the first leg"}[noise.source]
    runs = (f"runs: {', '.join(noise.runs)}",) if noise.source == "A/A" and noise.runs else ()
    table = Table("How far apart two equal legs come out", headers, rows, (2, 3, 4))
    yield Section(
        "noise",
        f"Noise floor: {source}",
        lines=(noise.sentence, *runs),
        tables=(table,) if rows else (),
    )


def _mechanisms(comparison: Comparison) -> Iterator[Section]:
    if not comparison.mechanisms and not comparison.causes:
        return
    labels = (comparison.first.label, comparison.second.label)
    # A change that is told from none must not read as none.
    rows = tuple(
        (
            each.title,
            *(f"{value_text(value)} {each.unit}" for value in (each.first, each.second)),
            percent_text(each.change_percent, 0.0),
            span_text(each.interval_percent, 0.0),
            "yes" if each.differs else "no",
        )
        for each in comparison.mechanisms
    )
    headers = ("operation", *labels, "change (%)", INTERVAL, "differs")
    table = Table("Operations below the model", headers, rows, (1, 2, 3, 4))
    yield Section(
        "mechanisms",
        "Where it comes from",
        lines=comparison.causes,
        tables=(table,) if rows else (),
        notes=("change: how much more time the operation takes in the second leg.",),
    )


def _details(comparison: Comparison) -> Iterator[Section]:
    if comparison.measurements:
        yield Section(
            "details",
            "Blocks and statistics",
            tables=(measurement_table(comparison), endpoint_table(comparison)),
        )


def _cost(comparison: Comparison, cost: CostPair | None) -> Iterator[Section]:
    if cost is None:
        return
    labels = (comparison.first.label, comparison.second.label)
    lines = (
        f"cost of {label}: {leg_text(spent)}"
        for label, spent in zip(labels, (cost.first, cost.second), strict=True)
    )
    name, unit, difference = COST_HEADERS
    rows = tuple(
        (
            row.measurement,
            per_million_text(row.first_usd_per_million),
            per_million_text(row.second_usd_per_million),
            percent_text(row.difference_percent),
        )
        for row in cost.rows
    )
    headers = (name, *(f"{label} ({unit})" for label in labels), difference)
    table = Table("Cost of a million inferences", headers, rows, (1, 2, 3))
    yield Section(
        "cost",
        "Cost",
        lines=tuple(lines),
        tables=(table,) if rows else (),
        notes=cost.notes(),
    )
