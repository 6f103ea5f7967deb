"""The results as pictures: one SVG a bench that has something to show."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from bench import model, peers, transfer
from bench.disk import MIB
from shared.model.point import Kind

Draw = Callable[[Any, Sequence[Any]], None]
"""Draws the samples on matplotlib's axes."""

INK, PALE, LIMIT = "#2b5f8a", "#a9c6de", "#b04a3a"


def draw(name: str, samples: Sequence[Any], folder: Path) -> None:
    """Writes the picture of one of the `DRAWN`."""
    import matplotlib as mpl

    mpl.use("svg")
    # The same results make the same file.
    mpl.rcParams.update({"svg.hashsalt": "vaultline", "font.size": 9, "axes.axisbelow": True})
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 3.6), layout="constrained")
    DRAWN[name](axes, samples)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
    pyplot.close(figure)


def _transfer(axes: Any, samples: Sequence[transfer.Sample]) -> None:
    """Seconds of loop, copying and the whole, side by side, a group a kind."""
    groups = transfer.kinds(samples)
    named = ("loop", "copying", "whole backup")
    for place, (name, colour) in enumerate(zip(named, (PALE, INK, "#dddddd"), strict=True)):
        attribute = f"{name.partition(' ')[0] if name != 'copying' else 'copy'}_seconds"
        heights = [median(getattr(each, attribute) for each in group) for group in groups]
        places = [number + 0.27 * (place - 1) for number in range(len(groups))]
        axes.bar(places, heights, 0.25, label=name, color=colour)
    axes.set_xticks(range(len(groups)), [_kind(group[0]) for group in groups])
    axes.set_yscale("log")
    axes.set_ylabel("seconds")
    axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False, ncols=3)


def _kind(one: transfer.Sample) -> str:
    if one.kind == Kind.FULL.value:
        return f"full\n{one.image_mib:,} MiB"
    run = f"{one.run_kib} KiB" if one.run_kib < 1024 else f"{one.run_kib // 1024} MiB"
    return f"{one.percent:g} %\n{run}"


def _peers(axes: Any, samples: Sequence[peers.Sample]) -> None:
    """What of the disk an increment reads, and the seconds it takes."""
    found = [each for each in samples if not each.full and not each.missing]
    names = list(dict.fromkeys(each.tool for each in found))
    read = [median(e.read_bytes for e in found if e.tool == name) / MIB for name in names]
    axes.barh(names, read, 0.6, color=[INK, *[PALE] * (len(names) - 1)])
    for number, name in enumerate(names):
        seconds = median(each.seconds for each in found if each.tool == name)
        axes.text(read[number], number, f"  {read[number]:,.0f} MiB, {seconds:.1f} s", va="center")
    changed = median(each.changed_bytes for each in found) / MIB
    axes.axvline(changed, color=LIMIT, linewidth=1, label=f"changed: {changed:,.0f} MiB")
    axes.set_xlim(0, 1.6 * max(read))
    axes.set_xlabel("MiB of the disk read for an increment")
    axes.invert_yaxis()
    axes.legend(frameon=False, loc="upper right")


def _model(axes: Any, samples: Sequence[model.Sample]) -> None:
    """Each scenario's minutes, and what decides them."""
    names = ["\n".join(each.scenario.rsplit(", ", 2)) for each in samples]
    minutes = [each.simulated_seconds / 60 for each in samples]
    axes.barh(names, minutes, 0.6, color=INK)
    for number, each in enumerate(samples):
        text = f"  {minutes[number]:,.0f} min: {each.decisive}"
        axes.text(minutes[number], number, text, va="center")
    axes.axvline(20, color=LIMIT, linewidth=1)
    axes.set_xscale("log")
    axes.set_xlim(5, 40 * max(minutes))
    axes.set_xlabel("minutes; the line is at 20")
    axes.invert_yaxis()


DRAWN: Mapping[str, Draw] = {"transfer": _transfer, "peers": _peers, "model": _model}
"""The benches that have a picture."""
