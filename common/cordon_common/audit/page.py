"""The audit report as one self-contained HTML page: no script, no network, no clock."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

import jinja2
from markupsafe import Markup

from cordon_common.audit import wording
from cordon_common.audit.burndown import burn_down_svg
from cordon_common.audit.hazards import hazards

if TYPE_CHECKING:
    from cordon_common.audit.facts import AuditFacts


def report_html(facts: AuditFacts) -> str:
    """Render the report; equal facts give equal bytes."""
    templates = files("cordon_common.audit") / "templates"
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string((templates / "audit.html.j2").read_text("utf-8"))
    kind, sentence = wording.VERDICT[facts.result.verdict]
    return (
        template.render(
            facts=facts,
            css=Markup((templates / "audit.css").read_text("utf-8")),  # noqa: S704 - our own file
            kind=kind,
            sentence=sentence,
            counted=wording.counted(facts.result),
            labels=[wording.label(item) for item in facts.studies],
            charts=[(budget, burn_down_svg(budget)) for budget in facts.budgets],
            hazards=hazards(facts),
            standing=wording.STANDING,
            phase=wording.PHASE,
            limits=wording.limits(facts),
        )
        + "\n"
    )
