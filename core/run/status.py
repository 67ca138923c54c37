"""``STATUS.md``: a checklist of the stages, made of the run's view."""

from __future__ import annotations

from datetime import datetime

from core.run.view import RunView, StageState, StageView
from core.text import markdown_line, markdown_text

STATUS_FILE = "STATUS.md"
_BOXES = {
    StageState.DONE: "[x]",
    StageState.RUNNING: "[ ] (running)",
    StageState.FAILED: "[ ] (failed)",
    StageState.STOPPED: "[ ] (stopped)",
    StageState.WAITING: "[ ]",
}


def status_markdown(view: RunView) -> str:
    """Return the whole document."""
    lines = [
        f"# Run {view.id}",
        "",
        f"- target: {view.target}",
        f"- leg: {view.leg}",
        f"- profile: {markdown_text(view.profile)}",
        f"- state: **{view.state}**",
        f"- created: {_time(view.created_at)}",
    ]
    if view.finished_at is not None:
        lines.append(f"- ended: {_time(view.finished_at)}, exit code {view.exit_code}")
    if view.prepared is not None:
        lines.append(f"- device: {markdown_text(view.prepared.device_name)}")
        lines.append(f"- configuration: {markdown_text(view.prepared.configuration)}")
        lines.append(f"- hypervisor: {view.prepared.hypervisor}")
    if view.cost is not None:
        limit = view.cost.budget_usd
        budget = f" of a budget of ${limit:.2f}" if limit is not None else ""
        lines.append(
            f"- cost: ${view.cost.spent_usd:.4f} so far{budget} "
            f"(prices: {markdown_text(view.cost.source)})"
        )
    lines += ["", "## Stages", "", *(_stage_line(stage) for stage in view.stages.values())]
    if view.measurements or view.current:
        lines += ["", f"## Measurements ({len(view.measurements)} of {view.total})", ""]
        for done in view.measurements:
            mark = (
                f"void: {markdown_text('; '.join(done.void_reasons))}"
                if done.void_reasons
                else "good"
            )
            rate = done.throughput_samples_per_s
            figure = "no figure" if rate is None else f"{rate:.2f} samples/s"
            lines.append(f"- [x] {done.name} block {done.block}: {figure}, {mark}")
        if view.current is not None:
            lines.append(f"- [ ] (running) {view.current.name} block {view.current.block}")
    if view.sentence:
        lines += ["", f"{markdown_line(view.sentence)} {markdown_text(view.remedy)}".rstrip()]
    return "\n".join(lines) + "\n"


def _stage_line(stage: StageView) -> str:
    parts = [f"- {_BOXES[stage.state]} {stage.stage}"]
    if stage.started_at is not None:
        parts.append(f"started {_time(stage.started_at)}")
    if stage.seconds is not None:
        parts.append(f"took {stage.seconds:.1f} s")
    if stage.summary:
        parts.append(markdown_text(stage.summary))
    return ", ".join(parts)


def _time(moment: datetime | None) -> str:
    return moment.isoformat(timespec="seconds") if moment is not None else "unknown"
