"""The evaluation as one self-contained HTML page: tables, hint curves, and pictures to judge by eye."""

import html
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.colors import TABLEAU_COLORS
from tqdm import tqdm

from colorize_training.evaluation.methods import Served
from colorize_training.evaluation.strokes.table import EXPLAINED
from colorize_training.evaluation.strokes.table import TITLES as MEASURES
from colorize_training.evaluation.task import Task
from colorize_training.figures import plt
from colorize_training.pictures import data_uri, gray_of, jpeg_uri, shown_gray
from colorize_training.writing import write_text

SHOWN_HINTS = (1, 5, 20)
EXTREMES = 10  # best and worst pictures
JPEG_QUALITY = 90
TITLES = {
    "psnr": "PSNR (dB)",
    "psnr_error": "± (dB)",
    "ssim": "SSIM",
    "ciede2000": "CIEDE2000",
    "auc": "AuC of ab error",
    "huber": "Huber, own space",
    "l2": "L2 of ab",
    "far_pixels": "pixels off by 10 ab",
    "boundary_psnr": "PSNR at boundaries (dB)",
    "colourfulness": "colourfulness",
    "colourfulness_difference": "less the truth's",
    "obedience": "CIE76 at hints",
    "lpips": "LPIPS",
    "fid": "FID",
    "same_class": "same class as true colour",
    "right_class": "right class",
    "stroke_inside": "stroke: change inside",
    "stroke_outside": "outside",
    "blotch": "unevenness of even things (ab)",
    "neutral": "C* where the truth is neutral",
    "error": "error (ab)",
    "stroke_grey_chroma": "C* under a gray stroke",  # codespell:ignore grey
}
TITLES = MEASURES | {f"{name}_error": "±" for name in (*MEASURES, "blotch", "neutral", "error")} | TITLES
STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 90rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { padding: .2rem .6rem; text-align: right; border-bottom: 1px solid #8886; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
figure { margin: 1rem 0; } figcaption { color: #888; }
.row { display: flex; gap: 4px; margin: 2px 0; overflow-x: auto; }
.row figure { margin: 0; } .row figcaption { font-size: 12px; }
img { max-width: 100%; height: auto; background: white; } .row img { max-width: none; }
"""


class Strokes(NamedTuple):
    """What the page shows of strokes: the table's rows, and sheets (h, w, 3) uint8 of one method, by name."""

    rows: list[dict[str, Any]]
    method: str
    sheets: list[tuple[str, np.ndarray]]


def write_report(
    path: Path,
    task: Task,
    rows: Sequence[dict[str, Any]],
    scores: Sequence[dict[str, str]],
    meta: dict[str, Any],
    sheets: int,
    strokes: Strokes | None = None,
    areas: Sequence[dict[str, Any]] = (),
) -> None:
    """Write the page; its pictures are those of the first weights at the last temperature."""
    shown = [m for m in task.methods if isinstance(m, Served)]
    first = shown[0].colorizer.record.name
    method = [m for m in shown if m.colorizer.record.name == first and not m.options.alike][-1]
    parts = [
        f"<h1>{html.escape(first)}: evaluation</h1>",
        f"<p>{task.count} photographs, protocol {task.protocol.name}, {html.escape(meta['date'])}, "
        f"{html.escape(meta['machine'])}, {html.escape(meta['versions'])}</p>",
        f"<pre>{html.escape(meta['command'])}</pre>",
        *(_of_strokes(strokes) if strokes else ()),
        *(("<h2>Areas</h2>", _table(areas)) if areas else ()),
        *(_of_pictures(task, method, rows, scores, sheets) if rows else ()),
    ]
    body = "\n".join(parts)
    page = f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{html.escape(first)}</title>'
    write_text(path, f"{page}<style>{STYLE}</style><body>\n{body}\n</body></html>\n")


def _of_pictures(
    task: Task, method: Served, rows: Sequence[dict[str, Any]], scores: Sequence[dict[str, str]], sheets: int
) -> list[str]:
    return [
        "<h2>Automatic</h2>",
        _table([row for row in rows if row["hints"] == 0]),
        *(_of_hints(rows) if any(task.counts) else ()),
        f"<h2>Pictures, {html.escape(method.name)}</h2>",
        *_sheet(task, method, range(min(sheets, task.count)), "pictures"),
        *_extremes(task, method, scores),
    ]


def _of_hints(rows: Sequence[dict[str, Any]]) -> list[str]:
    curves = [_curves(rows, "psnr"), _curves(rows, "boundary_psnr")]
    return ["<h2>With hints</h2>", *curves, _table([row for row in rows if row["hints"]])]


def _of_strokes(strokes: Strokes) -> list[str]:
    """The table, and a sheet for each thing: before, the stroke, after, a second stroke, after it."""
    figures = [
        f"<figure>{_shown(sheet)}<figcaption>{html.escape(name)}</figcaption></figure>"
        for name, sheet in strokes.sheets
    ]
    shown = [f"<h2>Strokes, {html.escape(strokes.method)}</h2>", *figures] if figures else []
    return ["<h2>Strokes</h2>", _table(strokes.rows), f"<p>{html.escape(EXPLAINED)}</p>", *shown]


def _table(rows: Sequence[dict[str, Any]]) -> str:
    if not rows:
        return "<p>None.</p>"
    names = [n for n in dict.fromkeys(k for row in rows for k in row) if n != "method"]
    names = [n for n in names if any(_known(row.get(n)) for row in rows)]
    head = "".join(f"<th>{html.escape(TITLES.get(n, n))}</th>" for n in names)
    lines = [
        f"<tr><td>{html.escape(row['method'])}</td>"
        + "".join(f"<td>{_number(row.get(n))}</td>" for n in names)
        + "</tr>"
        for row in rows
    ]
    return f"<table><tr><th>method</th>{head}</tr>\n" + "\n".join(lines) + "</table>"


def _known(value: Any) -> bool:
    return value is not None and value == value


def _number(value: Any) -> str:
    if not _known(value):
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _curves(rows: Sequence[dict[str, Any]], name: str) -> str:
    """One line a method over the hint counts; a method that takes none is a level line."""
    figure, axes = plt.subplots(figsize=(9, 5), layout="constrained")
    counts = sorted({row["hints"] for row in rows})
    axes.set_prop_cycle(plt.cycler(linestyle=("-", "--")) * plt.cycler(color=list(TABLEAU_COLORS)))
    for method in dict.fromkeys(row["method"] for row in rows):
        own = [(row["hints"], row[name]) for row in rows if row["method"] == method]
        if len(own) == 1:
            axes.axhline(own[0][1], linestyle=":", label=method, color="gray")
        else:
            axes.plot(*zip(*own, strict=True), marker="o", label=method)
    axes.set_xscale("symlog")
    axes.set_xticks(counts, map(str, counts))
    axes.set(xlim=(0, counts[-1] * 1.1), xlabel="hints", ylabel=TITLES[name])
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper")
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=100)
    plt.close(figure)
    return f"<figure>{_image(data_uri(buffer.getvalue(), 'png'))}</figure>"


def _sheet(task: Task, method: Served, numbers: Iterable[int], what: str) -> list[str]:
    """A row for each photograph: input, automatic, with hints, truth."""
    lines = []
    for number in tqdm(list(numbers), desc=f"report: {what}", unit="img"):
        rgb = task.protocol.picture(task.photographs[number])
        cells = [("input", shown_gray(gray_of(rgb)))]
        for count in (0, *SHOWN_HINTS):
            heading = f"{count} hints" if count else "automatic"
            cells.append((heading, method.colorize(rgb, task.protocol.hints(rgb, count, number))))
        cells.append((task.photographs.names[number], rgb))
        figures = [f"<figure>{_shown(c)}<figcaption>{html.escape(name)}</figcaption></figure>" for name, c in cells]
        lines.append(f'<div class="row">{"".join(figures)}</div>')
    return lines


def _extremes(task: Task, method: Served, scores: Sequence[dict[str, str]]) -> list[str]:
    """The pictures with the highest and the lowest automatic PSNR."""
    own = [(float(r["psnr"]), int(r["picture"])) for r in scores if r["method"] == method.name and r["hints"] == "0"]
    order = [number for _, number in sorted(own, reverse=True)]
    if len(order) < 2 * EXTREMES:
        return []
    best, worst = order[:EXTREMES], order[::-1][:EXTREMES]
    parts = ["<h2>Best</h2>", *_sheet(task, method, best, "best")]
    return [*parts, "<h2>Worst</h2>", *_sheet(task, method, worst, "worst")]


def _shown(rgb: np.ndarray) -> str:
    return _image(jpeg_uri(rgb, JPEG_QUALITY))


def _image(uri: str) -> str:
    return f'<img alt="" src="{uri}">'
