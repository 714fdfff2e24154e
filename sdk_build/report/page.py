"""The page of ``sdk_build.report --html``: one file without scripts or outside parts, readable at phone width.

Plots are inline SVG, drawn here: size against accuracy for each model, spread of the errors for each artifact, and
what 8 bits cost in each part of a network.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdk_build.bundle.analysis import FILE as ANALYSIS

if TYPE_CHECKING:
    from sdk_build.bundle.manifest import Manifest, ModelFile
    from sdk_build.bundle.records import Record
    from sdk_build.report.table import Row

COLORS = {"litert": "#0a7d5a", "executorch": "#b4431f", "coreml": "#2456c9", "executorch_coreml": "#8a3fb5"}
NAMES = {"litert": "LiteRT", "executorch": "ExecuTorch", "coreml": "Core ML", "executorch_coreml": "ExecuTorch Core ML"}
WORST_PARTS = 14
OPEN_BUNDLES = 4  # at most; of more, each is a line that opens
SAME_LABEL_PX = 48  # marks of one precision nearer than this share a label
e = html.escape
Box = tuple[float, float, float, float]  # left, upper, right, lower


@dataclass(frozen=True)
class Entry:
    """A bundle with everything that the page shows of it.

    Attributes:
        analysis: content of analysis.json, empty if the bundle has none.
    """

    manifest: Manifest
    rows: tuple[Row, ...]
    analysis: Mapping[str, Any]


def read_analysis(path: Path) -> Mapping[str, Any]:
    """The bundle's analysis.json; empty where there is none."""
    file = path / ANALYSIS
    document: Any = json.loads(file.read_text()) if file.is_file() else {}
    return document if isinstance(document, dict) else {}


def page(entries: Sequence[Entry], header: Sequence[str], records: Sequence[Record]) -> str:
    """The whole page.

    Args:
        header: names of a row's cells.
        records: latencies of these bundles, or nothing.
    """
    models = list(dict.fromkeys(entry.manifest.model for entry in entries))
    groups = {m: [x for x in entries if x.manifest.model == m] for m in models}
    links = "".join(f"<a href='#{e(m)}'>{e(m)}</a>" for m in models)
    shown = "open" if len(entries) <= OPEN_BUNDLES else ""
    parts = (
        (_overview(group, records), *(_section(entry, header, shown) for entry in group)) for group in groups.values()
    )
    bodies = "\n".join(part for group in parts for part in group)
    phones = sorted({r.device.name for r in records if r.device.kind == "phone"})
    measured = f"Phones measured: {e(', '.join(phones))}." if phones else "No phone measured yet."
    return _PAGE.format(count=len(entries), measured=measured, links=links, bodies=bodies, style=_STYLE)


def _overview(entries: Sequence[Entry], records: Sequence[Record]) -> str:
    """One model over all its bundles."""
    manifest = entries[0].manifest
    operations: list[Any] = next((x.analysis["operations"] for x in entries if x.analysis.get("operations")), [])
    figures = [_size_against_accuracy(entries), _parts(operations), _latency(manifest.model, records)]
    accuracy = "".join(f"<li><b>{v.value:.4g}</b> {e(v.name)}</li>" for v in manifest.accuracy)
    return f"""<article id="{e(manifest.model)}"><h2>{e(manifest.model)}</h2>
<p>{e(manifest.description)}. Document {e(manifest.document)}.</p>
<h3>Accuracy of the reference</h3><ul class=figures>{accuracy}</ul><p class=small>{e(manifest.accuracy_data)}</p>
<div class=plots>{"".join(figures)}</div>{_artifacts(entries)}</article>"""


def _artifacts(entries: Sequence[Entry]) -> str:
    """A table of a model's artifacts, each once: several bundles hold the same one."""
    # Not by their digests: Core ML Tools gives every package other random identifiers.
    same: dict[tuple[str, str, int], list[tuple[Manifest, ModelFile, Row]]] = {}
    for x in entries:
        for f, row in zip(x.manifest.model_files, x.rows, strict=True):
            same.setdefault((f.runtime, f.precision, f.bytes), []).append((x.manifest, f, row))
    if len(same) < 2:
        return ""
    runtimes = list(NAMES)
    found = sorted(same.values(), key=lambda held: (runtimes.index(held[0][1].runtime), -held[0][1].bytes))
    floats = {held[0][1].runtime: held[0][1] for held in found if held[0][1].precision == "fp32"}
    metric = next((f.accuracy[0].name for ((_, f, _), *_) in found if f.accuracy), "accuracy")
    names = ("runtime", "prec.", "MB", "of fp32", metric, "SQNR dB", "delegated", "parts", "for")
    lines = []
    for held in found:
        _, f, row = held[0]
        whole = floats.get(f.runtime)
        cells = (
            NAMES[f.runtime],
            f.precision,
            f"{row.size_mb:.2f}",
            f"{f.bytes / whole.bytes:.3f}" if whole else "-",
            "-" if row.accuracy is None else f"{row.accuracy:.4g}",
            f"{row.sqnr_db:.1f}",
            ", without ".join([row.delegated, *row.fallbacks]),
            str(row.partitions) if row.partitions else "-",
            ", ".join(dict.fromkeys(manifest.target for manifest, _, _ in held)),
        )
        lines.append("".join(f"<td data-name='{e(n)}'>{e(c)}</td>" for n, c in zip(names, cells, strict=True)))
    head = "".join(f"<th>{e(n)}</th>" for n in names)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<h3>Every artifact</h3><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _size_against_accuracy(entries: Sequence[Entry]) -> str:
    """A scatter of every artifact: megabytes, logarithmic, against the task's metric, or closeness without one."""
    files = [(f, row) for x in entries for f, row in zip(x.manifest.model_files, x.rows, strict=True)]
    scored = [(f, row) for f, row in files if f.accuracy]
    if scored:
        metric = scored[0][0].accuracy[0].name
        points = [(f.runtime, f.precision, row.size_mb, f.accuracy[0].value) for f, row in scored]
    else:
        metric, points = "SQNR dB", [(f.runtime, f.precision, row.size_mb, row.sqnr_db) for f, row in files]
    points = sorted(set(points), key=lambda p: (p[2], p[3]))
    title = f"Size against {metric}"
    return _figure(title, _scatter(points), _legend([p[0] for p in points]), "megabytes, logarithmic", metric)


def _scatter(points: Sequence[tuple[str, str, float, float]]) -> str:
    """The marks of a scatter with axes; precisions are written beside the marks where there is room."""
    width, height, left, bottom, top, right = 460, 260, 52, 30, 14, 58
    xs, ys = [math.log(p[2]) for p in points], [p[3] for p in points]
    x0, x1 = min(xs) - 0.15, max(xs) + 0.15
    # A change of a hundredth of the metric must not fill the plot, or noise looks like a trend.
    margin = max(0.12 * (max(ys) - min(ys)), 0.02 * abs(max(ys)), 1e-6)
    y0, y1 = min(ys) - margin, max(ys) + margin

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            left + (x - x0) / (x1 - x0) * (width - left - right),
            height - bottom - (y - y0) / (y1 - y0) * (height - bottom - top),
        )

    marks = []
    for value in _ticks(y0, y1):
        _, y = place(x0, value)
        marks.append(f"<line x1={left} x2={width - right} y1={y:.1f} y2={y:.1f} class=grid />")
        marks.append(f"<text x={left - 6} y={y + 4:.1f} text-anchor=end>{value:.4g}</text>")
    for megabytes in _log_ticks(math.exp(x0), math.exp(x1)):
        x, _ = place(math.log(megabytes), y0)
        marks.append(f"<text x={x:.1f} y={height - 10} text-anchor=middle>{megabytes:g}</text>")
    places = [place(math.log(p[2]), p[3]) for p in points]
    taken = [(x - 6, y - 6, x + 6, y + 6) for x, y in places]
    labelled: list[tuple[str, float, float]] = []
    for (runtime, precision, megabytes, value), (x, y) in zip(points, places, strict=True):
        name = f"{NAMES[runtime]} {precision}: {megabytes:.2f} MB, {value:.4g}"
        marks.append(f"<circle cx={x:.1f} cy={y:.1f} r=5 fill='{COLORS[runtime]}'><title>{e(name)}</title></circle>")
        if any(name == precision and math.hypot(x - a, y - b) < SAME_LABEL_PX for name, a, b in labelled):
            continue
        box = _free_box(x, y, 7.0 * len(precision), taken)
        if box and left <= box[0] and box[2] <= width and top <= box[3] <= height - bottom + 6:
            taken.append(box)
            labelled.append((precision, x, y))
            marks.append(f"<text x={box[0]:.1f} y={box[3] - 3:.1f} class=mark>{e(precision)}</text>")
    return f"<svg viewBox='0 0 {width} {height}' role=img>{''.join(marks)}</svg>"


def _free_box(x: float, y: float, wide: float, taken: Sequence[Box]) -> Box | None:
    """Where a word of this width can stand beside a mark without touching what is there: right, left, above, below."""
    high = 13.0
    corners = ((x + 8, y - 7), (x - 8 - wide, y - 7), (x - wide / 2, y - 8 - high), (x - wide / 2, y + 8))
    for a, b in corners:
        if all(a >= x1 or a + wide <= x0 or b >= y1 or b + high <= y0 for x0, y0, x1, y1 in taken):
            return (a, b, a + wide, b + high)
    return None


def _ticks(low: float, high: float) -> list[float]:
    """Four to eight round values inside a span."""
    raw = (high - low) / 5
    step = 10 ** math.floor(math.log10(raw))
    step *= next(m for m in (1, 2, 5, 10) if m * step >= raw)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """Round values inside a span: 1, 2, 5 times powers of ten, or more where these are fewer than three."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7), tuple(m / 10 for m in range(10, 100))):
        found = [round(m * 10.0**k, 12) for k in exponents for m in steps if low <= m * 10.0**k <= high]
        if len(found) >= 3:
            break
    return found[:: 1 + len(found) // 9]


def _parts(operations: Sequence[Sequence[Any]]) -> str:
    """Bars of the parts that lose most by 8 bits."""
    if not operations:
        return ""
    worst = [(str(name) or "between the modules", float(value)) for name, value in operations[:WORST_PARTS]]
    top = max(value for _, value in worst)
    bars = "".join(
        f"<div class=part><span>{e(name)}</span><b style='width:{100 * max(value, 0) / top:.1f}%'></b>"
        f"<em>{value:.1f} dB</em></div>"
        for name, value in worst
    )
    shown = f"the worst {len(worst)} of {len(operations)}"
    note = f"SQNR of the outputs when this part alone has 8 bits, shorter is worse; {shown}"
    return f"<figure><figcaption>What 8 bits cost, part by part</figcaption>{bars}<p class=small>{note}</p></figure>"


def _latency(model: str, records: Sequence[Record]) -> str:
    """Bars of the median latency, where records were given."""
    mine = [r for r in records if r.model == model]
    if not mine:
        return ""
    top = max(r.percentile(50) for r in mine)
    bars = "".join(
        f"<div class=part><span>{e(NAMES[r.runtime])} {e(r.precision)}, {r.threads} thr.</span>"
        f"<b style='width:{100 * r.percentile(50) / top:.1f}%;background:{COLORS[r.runtime]}'></b>"
        f"<em>{r.percentile(50):.2f} ms{_times(r)}</em></div>"
        for r in sorted(mine, key=lambda r: (r.threads, r.percentile(50)))
    )
    devices = "; ".join(sorted({f"{r.device.name} ({r.device.kind})" for r in mine}))
    note = f"Median of one inference on {e(devices)}. A host's times say nothing about a phone's."
    return f"<figure><figcaption>Latency</figcaption>{bars}<p class=small>{note}</p></figure>"


def _times(record: Record) -> str:
    ratio = record.ratio_to("onnxruntime")
    return "" if ratio is None else f", {ratio:.2f} x onnxruntime"


def _figure(title: str, drawing: str, legend: str, x: str, y: str) -> str:
    return (
        f"<figure><figcaption>{e(title)}</figcaption>{drawing}<p class=small>{legend} Across: {e(x)}. "
        f"Up: {e(y)}.</p></figure>"
    )


def _legend(runtimes: Sequence[str]) -> str:
    names = dict.fromkeys(runtimes)
    return " ".join(f"<i class=dot style='background:{COLORS[r]}'></i>{e(NAMES[r])}" for r in names) + "."


def _section(entry: Entry, header: Sequence[str], shown: str) -> str:
    """One bundle.

    Args:
        shown: ``open``, or empty for a line that opens.
    """
    manifest, rows = entry.manifest, entry.rows
    cells = "".join(
        "<tr>"
        + "".join(f"<td data-name='{e(n)}'>{e(c)}</td>" for n, c in zip(header, r.cells()[2:], strict=True))
        + "</tr>"
        for r in rows
    )
    head = "".join(f"<th>{e(n)}</th>" for n in header)
    outside = "".join(
        f"<p class=warn>{e(r.file)} leaves {e(', '.join(r.fallbacks))} to the CPU</p>" for r in rows if r.fallbacks
    )
    errors = entry.analysis.get("errors", {})
    spreads = "".join(_histogram(r.file, errors[r.file]) for r in rows if errors.get(r.file, {}).get("counts"))
    title = "<h3>Errors on the golden inputs</h3>" if spreads else ""
    megabytes = sum(r.size_mb for r in rows)
    return f"""<section><details {shown}><summary><h2>{e(manifest.id)}</h2>
<span class=small>{len(rows)} artifacts, {megabytes:.2f} MB</span></summary>
<h3>Artifacts</h3><table><thead><tr>{head}</tr></thead><tbody>{cells}</tbody></table>{outside}{_recipes(manifest)}
{title}<div class=spreads>{spreads}</div>
<p class=small>Weights: {e(manifest.weights_license)} Commit {e(manifest.git_commit[:12])}.
{e(", ".join(f"{t.name} {t.value}" for t in manifest.tool_versions))}</p></details></section>"""


def _recipes(manifest: Manifest) -> str:
    """How each quantised artifact was made."""
    lines = []
    for f in manifest.model_files:
        if f.quantization is None:
            continue
        q = f.quantization
        text = f"{f.file}: {q.weights} weights, {q.activations} activations"
        if q.calibration:
            c = q.calibration
            text += f", ranges from {c.samples} training samples of {c.source} (seed {c.seed}, {c.sha256[:12]})"
        kept = [name or "arithmetic between the modules" for name in q.keep_float]
        text += f"; in float: {', '.join(kept)}" if kept else ""
        lines.append(f"<p class=small>{e(text)}</p>")
    return "".join(lines)


def _histogram(file: str, errors: Mapping[str, Any]) -> str:
    """Spread of one artifact's errors; heights are logarithmic, as the few large errors are what matters."""
    counts = [int(c) for c in errors["counts"]]
    top = math.log1p(max(counts)) or 1.0
    bar = 200 / len(counts)
    bars = "".join(
        f"<rect x={i * bar:.2f} y={60 - 58 * math.log1p(c) / top:.1f} width={bar - 0.6:.2f} "
        f"height={58 * math.log1p(c) / top:.1f} />"
        for i, c in enumerate(counts)
        if c
    )
    edge = float(errors["high"])
    return (
        f"<figure><figcaption>{e(file)}, {e(str(errors['output']))}</figcaption>"
        f"<svg viewBox='0 0 200 62' role=img class=spread>{bars}</svg>"
        f"<p class='small ends'><span>{-edge:.2g}</span><span>0</span><span>{edge:.2g}</span></p></figure>"
    )


_STYLE = """
:root{color-scheme:light dark;--ink:#1c1e22;--soft:#666b74;--paper:#fafaf8;--card:#fff;--line:#e2e2de;--accent:#007acc}
@media(prefers-color-scheme:dark){
:root{--ink:#e9e9e6;--soft:#9aa0a8;--paper:#16181b;--card:#1e2125;--line:#33373d;--accent:#4db2ff}}
*{box-sizing:border-box}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);
margin:0 auto;max-width:1080px;padding:24px 16px}
nav{display:flex;flex-wrap:wrap;gap:4px 18px;margin:12px 0}a{color:var(--accent)}
h1{margin:0 0 4px}h2{margin:0;font-size:1.25rem;overflow-wrap:anywhere}
h3{margin:18px 0 6px;font-size:.95rem;color:var(--soft)}
section,article{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:20px;margin:20px 0}
article{border-top:3px solid var(--accent)}section:has(details:not([open])){padding:10px 20px;margin:8px 0}
summary{cursor:pointer}summary h2{display:inline;font-size:1.05rem}summary span{margin-left:10px}
p{margin:4px 0}.small{font-size:.82rem;color:var(--soft);overflow-wrap:anywhere}.warn{color:#c2410c;font-weight:600}
table{border-collapse:collapse;width:100%;font-size:.86rem;font-variant-numeric:tabular-nums}
th{text-align:left;color:var(--soft);font-weight:500}th,td{padding:5px 10px 5px 0;border-bottom:1px solid var(--line)}
.figures{list-style:none;display:flex;flex-wrap:wrap;gap:8px 24px;padding:0;margin:0}.figures b{font-size:1.2rem}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr));gap:20px;margin-top:18px}
.spreads{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,240px),1fr));gap:14px}
figure{margin:0;min-width:0}figcaption{font-weight:600;font-size:.92rem;margin-bottom:6px;overflow-wrap:anywhere}
svg{width:100%;height:auto;display:block}svg text{font-size:12px;fill:var(--soft)}svg .mark{fill:var(--ink)}
.spreads figure{max-width:380px}.plots figure{max-width:560px}.grid{stroke:var(--line)}
.spread{border-bottom:1px solid var(--line)}.spread rect{fill:var(--accent)}
.ends{display:flex;justify-content:space-between}
.dot{display:inline-block;width:.7em;height:.7em;border-radius:50%;margin:0 .3em 0 .2em}
.part{display:grid;grid-template-columns:minmax(0,14rem) 1fr auto;gap:10px;align-items:center}
.part{font-size:.82rem;margin:3px 0}
.part span{overflow-wrap:anywhere}.part b{height:10px;background:var(--accent);border-radius:5px;min-width:2px}
.part em{font-style:normal;color:var(--soft);font-variant-numeric:tabular-nums;text-align:right}
@media(max-width:720px){thead{display:none}tr{display:block;border-bottom:2px solid var(--line);padding:6px 0}
td{display:flex;justify-content:space-between;gap:16px;border:0;padding:2px 0;text-align:right;overflow-wrap:anywhere}
td:before{content:attr(data-name);color:var(--soft);text-align:left}
section,article{padding:14px}.part{grid-template-columns:1fr auto}.part b{grid-column:1/3;grid-row:2}}
"""
_PAGE = """<!doctype html><html lang=en><meta charset=utf-8>
<meta name=viewport content="width=device-width, initial-scale=1"><title>OnPar report</title>
<style>{style}</style>
<h1>OnPar report</h1><p>{count} bundles. Every figure was measured when the artifact was proved against the PyTorch
reference. <b>Emulation</b> is OnPar's own executor of Core ML programs, not Apple's. {measured}</p>
<nav>{links}</nav>
{bodies}
</html>
"""
