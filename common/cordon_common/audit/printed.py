"""The audit report as PDF, for a file that goes to an ethics board on paper.

Standard fonts only, so nothing is looked up on the machine; a fixed date and document id, so equal
facts give equal bytes.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from cordon_common.audit import wording
from cordon_common.audit.burndown import remaining
from cordon_common.audit.hazards import hazards

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reportlab.graphics.shapes import Drawing
    from reportlab.platypus import Flowable

    from cordon_common.audit.facts import AuditFacts, BurnDown, StudyFacts

_GREEK = str.maketrans({"ε": "e", "δ": "d", "σ": "s", "Φ": "F", "μ": "m"})
_COLOURS = {"good": "#1d5c37", "warn": "#6b4604", "bad": "#8b1f1f", "soft": "#444444"}
_STATUS = {"PASS": "good", "FAIL": "bad", "NOT PROVEN": "warn"}
_POINTS_PER_MM = 72 / 25.4
_TEXT_WIDTH = 180 * _POINTS_PER_MM - 12  # the frame's padding


def report_pdf(facts: AuditFacts) -> bytes:
    """Render the report as PDF (A4); equal facts give equal bytes."""
    from reportlab.lib.pagesizes import A4
    from reportlab.platypus import SimpleDocTemplate

    out = io.BytesIO()
    margin = 15 * _POINTS_PER_MM
    document = SimpleDocTemplate(
        out,
        pagesize=A4,
        leftMargin=margin,
        rightMargin=margin,
        topMargin=margin,
        bottomMargin=margin,
        title=f"Privacy audit: {facts.result.verdict}",
        author="cordon audit report",
        invariant=1,
    )
    document.build(_story(facts), onFirstPage=_footer, onLaterPages=_footer)
    return out.getvalue()


def _footer(canvas: Any, document: Any) -> None:  # noqa: ANN401 - reportlab has no types
    canvas.setFont("Helvetica", 8)
    canvas.drawRightString(document.pagesize[0] - 40, 22, f"Privacy audit, page {document.page}")


def _story(facts: AuditFacts) -> list[Flowable]:
    kind, sentence = wording.VERDICT[facts.result.verdict]
    story: list[Flowable] = [
        _words("Privacy audit", "title"),
        _words(
            f'<font color="{_COLOURS[kind]}"><b>{facts.result.verdict}</b></font>  '
            f"{sentence} {wording.counted(facts.result)}.",
            "body",
            raw=True,
        ),
    ]
    for item in facts.studies:
        story += _study(item)
    story += _budgets(facts)
    story += _hazards(facts)
    story += _checks(facts)
    story += _releases(facts)
    story += _logs(facts)
    story.append(_words("What these bundles cannot show", "heading"))
    story += [_words(f"- {text}", "body") for text in wording.limits(facts)]
    return story


def _study(item: StudyFacts) -> list[Flowable]:
    label = wording.label(item)
    rows = [
        ("privacy per patient, over the whole study, recomputed", label.headline),
        *label.rows,
        ("signed by", item.signer),
        ("digest", item.digest),
    ]
    by_site = [
        (cost.site, str(cost.releases), f"{cost.epsilon.pld:.4f}", f"{cost.epsilon.rdp:.4f}")
        for cost in item.costs
    ]
    return [
        _words(f"Privacy facts: {label.study}", "heading"),
        _words(item.study.purpose, "body"),
        _table(rows, (75, 105), boxed=True),
        *(_words(text, "body") for text in label.sentences),
        _words("Covered: " + "; ".join(label.covered) + ".", "body"),
        _words("Not covered, and declared so: " + "; ".join(label.uncovered) + ".", "body"),
        _table(
            [("hospital", "releases", "ε (PLD)", "ε (Rényi)"), *by_site],
            (60, 40, 40, 40),
            head=True,
        ),
    ]


def _budgets(facts: AuditFacts) -> list[Flowable]:
    from reportlab.platypus import KeepTogether

    story: list[Flowable] = [_words("Lifetime budgets", "heading")]
    for budget in facts.budgets:
        spent = f"{budget.steps[-1].epsilon:.3f} spent"
        allowed = f" of {budget.budget:g}" if budget.budget is not None else ", no policy"
        title = f"{budget.site}: {spent}{allowed} at δ {budget.delta:g}, dataset {budget.dataset} ({budget.trust_model})"
        story.append(KeepTogether([_words(title, "small"), _chart(budget)]))
    rows = [
        (
            item.site,
            item.scope,
            item.trust_model,
            str(item.releases),
            f"{item.epsilon_pld:.4f}",
            f"{item.epsilon_rdp:.4f}",
            f"{item.budget:g}" if item.budget is not None else "",
            f"{item.delta:.0e}",
        )
        for part in facts.result.parts
        for item in part.spending
    ]
    head = ("hospital", "spent by", "trust", "releases", "ε (PLD)", "ε (Rényi)", "allowed", "δ")
    story.append(_table([head, *rows], (28, 36, 24, 18, 20, 20, 18, 16), head=True))
    return story


def _hazards(facts: AuditFacts) -> list[Flowable]:
    rows = [
        (wording.STANDING[row.standing][1], row.name, row.question, row.evidence)
        for row in hazards(facts)
    ]
    head = ("status", "hazard", "asked", "evidence")
    return [
        _words("Known hazards of privacy claims (after NIST SP 800-226, March 2025)", "heading"),
        _table([head, *rows], (24, 44, 44, 68), head=True),
    ]


def _checks(facts: AuditFacts) -> list[Flowable]:
    story: list[Flowable] = [_words("Checks", "heading")]
    for part in facts.result.parts:
        rows = [(row.status, row.claim, row.evidence) for row in part.rows]
        story += [
            _words(part.title, "small"),
            _table([("verdict", "claim", "evidence"), *rows], (24, 86, 70), head=True),
        ]
    return story


def _releases(facts: AuditFacts) -> list[Flowable]:
    rows = [
        (
            item.site,
            str(item.seq),
            item.time[:19].replace("T", " "),
            item.study,
            wording.PHASE.get(item.phase, item.phase),
            f"{item.round}/{item.attempt}",
            f"{item.noise_multiplier:.4g}",
            f"{item.sample_rate:.4g}",
            item.digest[7:19] or "reserved only",
        )
        for item in facts.releases
    ]
    head = ("hospital", "entry", "time (UTC)", "study", "release", "round", "σ", "q", "digest")
    widths = (20, 12, 30, 28, 28, 12, 14, 10, 26)
    return [
        _words("Every release", "heading"),
        _words(
            "σ: noise multiplier; q: share of patients sampled; round/attempt. What was reserved "
            "only is charged like any other.",
            "small",
        ),
        _table([head, *rows], widths, head=True),
    ]


def _logs(facts: AuditFacts) -> list[Flowable]:
    rows = [(log.title, str(log.entries), log.key, log.root) for log in facts.logs]
    story: list[Flowable] = [
        _words("Logs and software", "heading"),
        _table([("log", "entries", "key", "root"), *rows], (44, 16, 32, 88), head=True),
    ]
    for log in facts.logs:
        held = ", ".join(f"{name} {version}" for name, version in log.software)
        story.append(_words(f"{log.title}: {held}", "small"))
    return story


def _words(text: str, style: str, *, raw: bool = False) -> Flowable:
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.platypus import Paragraph

    size, space = {"title": (20, 6), "heading": (13, 4), "body": (9, 3), "small": (7.5, 2)}[style]
    return Paragraph(
        text if raw else _markup(text),
        ParagraphStyle(
            style,
            fontName="Helvetica-Bold" if style in {"title", "heading"} else "Helvetica",
            fontSize=size,
            leading=size * 1.3,
            spaceBefore=10 if style == "heading" else space,
            spaceAfter=space,
        ),
    )


def _markup(text: str) -> str:
    """Escape for reportlab, Greek letters from the standard Symbol font."""
    return re.sub(
        "[εδσΦμ]+", lambda found: f"<greek>{found[0].translate(_GREEK)}</greek>", escape(text)
    )


def _table(
    rows: Sequence[Sequence[str]],
    widths_mm: Sequence[float],
    *,
    head: bool = False,
    boxed: bool = False,
) -> Flowable:
    from reportlab.lib.colors import HexColor
    from reportlab.platypus import LongTable, TableStyle

    scale = _TEXT_WIDTH / sum(widths_mm)
    style = [
        ("LINEBELOW", (0, 0), (-1, -1), 0.3, HexColor("#bbbbbb")),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), 2),
        ("TOPPADDING", (0, 0), (-1, -1), 1),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
    ]
    if head:
        style.append(("LINEBELOW", (0, 0), (-1, 0), 0.8, HexColor("#444444")))
    if boxed:
        style.append(("BOX", (0, 0), (-1, -1), 1.5, HexColor("#000000")))
    cells = [[_cell(cell) for cell in row] for row in rows]
    return LongTable(
        cells,
        colWidths=[width * scale for width in widths_mm],
        repeatRows=1 if head else 0,
        style=TableStyle(style),
    )


def _cell(text: str) -> Flowable:
    if text in _STATUS:
        colour = _COLOURS[_STATUS[text]]
        return _words(f'<font color="{colour}"><b>{text}</b></font>', "small", raw=True)
    return _words(text, "small")


def _chart(budget: BurnDown) -> Drawing:
    """Draw the burn-down as steps, as the page does."""
    from reportlab.graphics.shapes import Drawing, Line, PolyLine, String
    from reportlab.lib.colors import HexColor

    width, height, left, bottom = _TEXT_WIDTH, 90.0, 30.0, 16.0
    points = remaining(budget)
    top = budget.budget or max((value for _, value in points), default=1.0) or 1.0
    last = max(points[-1][0], 1)
    drawing = Drawing(width, height)
    for share in (0.0, 0.5, 1.0):
        y = bottom + (height - bottom - 8) * share
        drawing.add(Line(left, y, width, y, strokeColor=HexColor("#cccccc"), strokeWidth=0.4))
        drawing.add(String(left - 4, y - 3, f"{top * share:.3g}", fontSize=7, textAnchor="end"))
    line: list[float] = []
    height_of = bottom
    for releases, value in points:
        x = left + (width - left) * releases / last
        if line:
            line += [x, height_of]
        height_of = bottom + (height - bottom - 8) * max(value, 0.0) / top
        line += [x, height_of]
    drawing.add(PolyLine(line, strokeColor=HexColor("#1f5f8b"), strokeWidth=1.2))
    drawing.add(String(left, 4, "0", fontSize=7))
    drawing.add(String(width, 4, f"{last} releases", fontSize=7, textAnchor="end"))
    return drawing
