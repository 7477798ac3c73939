"""The curve as a picture: added delay and CPU over the number of calls, for all servers."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib import rc_context  # pyright: ignore[reportUnknownVariableType]
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.figures import ADDED_LIMIT_MS
from bench.summary import Row

_COLOURS = {"Trunkline": "#1f6feb", "bare bridge": "#57606a", "generated bot": "#cf222e"}
_OTHER_COLOUR = "#8250df"


def draw(rows: Sequence[Row], title: str, *files: Path) -> None:
    """Draw to each file, in the format that its suffix names (svg, png)."""
    with rc_context({"svg.hashsalt": "trunkline", "font.size": 9, "axes.grid": True, "grid.alpha": 0.3}):
        figure = Figure(figsize=(10, 4.6), layout="constrained")  # not pyplot's, which would want a window's toolkit
        delay, cpu = figure.subplots(1, 2)
        for server in dict.fromkeys(row.server for row in rows):
            own = sorted((row for row in rows if row.server == server), key=lambda row: row.calls)
            colour = _COLOURS.get(server, _OTHER_COLOUR)
            _line(delay, own, "added_p95_ms", colour, f"{server}, p95", "-")
            _line(delay, own, "added_p50_ms", colour, f"{server}, p50", ":")
            _line(cpu, own, "cpu_ms", colour, server, "-")
        delay.axhline(ADDED_LIMIT_MS, color="#1a7f37", linewidth=1, label=f"the bar, {ADDED_LIMIT_MS:g} ms")
        delay.set(title="Added delay of a reply", xlabel="calls at once", ylabel="ms", yscale="log")
        cpu.set(title="CPU for each second of a call", xlabel="calls at once", ylabel="ms", ylim=(0, None))
        for axes in (delay, cpu):
            axes.set_xlim(left=0)
        # Below both, where it hides no point; the right half has the same colours.
        figure.legend(*delay.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)
        figure.suptitle(title)
        for file in files:
            figure.savefig(file, dpi=144, metadata={"Date": None} if file.suffix == ".svg" else None)


def _line(axes: Axes, rows: Sequence[Row], figure: str, colour: str, label: str, style: str) -> None:
    points = [(row.calls, getattr(row, figure)) for row in rows if getattr(row, figure) is not None]
    # A delay below nothing is the clocks' own inaccuracy, and has no place on a scale of logarithms.
    heights = [max(1.0, value) for _, value in points]
    axes.plot([calls for calls, _ in points], heights, style, marker="o", markersize=3.5, color=colour, label=label)
