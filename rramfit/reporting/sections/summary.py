"""A card in words: what this chip is like, what is wrong with it, and whether it can be trusted.

Every sentence is made from numbers that stand in the card, with their intervals. What was not
measured is not spoken of here; the report lists it in its own place.
"""

from __future__ import annotations

from rramfit.card.schema import LevelCard, ModelCard, VariationCard
from rramfit.reporting.page.document import Block, KeyFigure, KeyFigures, Prose, Tone
from rramfit.reporting.page.wording import (
    counted,
    duration,
    fit_name,
    listed,
    number,
    say,
    share,
    with_interval,
    write,
)

__all__ = ["header_facts", "summary_blocks"]

_TRUST: dict[str, str] = {
    "ok": "It can be trusted within its domain.",
    "warning": "It can be used, with care.",
    "bad": "Not as it stands.",
}
_DEAD = {"dead row": "dead rows", "dead col": "dead columns"}
_FIGURES = 6  # key figures in one row
_COLLAPSE = 0.01  # share of collapsed cells that is called bad
_TOLD = 3  # findings told in the summary
_FOUND = 0.01  # p-value below which a smooth field is spoken of
_ON_TARGET = 1e-3  # a mean is never said to be nearer to its target


def header_facts(card: ModelCard) -> tuple[tuple[str, str], ...]:
    """List what identifies the card and its array."""
    a = card.array
    facts = [
        ("Card", f"{card.name} {card.revision}"),
        ("Array", f"{a.rows} × {a.cols}, {a.cell}"),
        *[
            (name.capitalize(), value)
            for name in ("lot", "wafer", "die", "technology", "instrument")
            if (value := getattr(a, name))
        ],
        ("Time", card.provenance.time),
        ("Digest", f"{card.digest[:19]}…"),
    ]
    if card.domain.read_voltage is not None:
        facts.insert(2, ("Read at", say(card.domain.read_voltage.value, "V")))
    if card.domain.temperature is not None:
        facts.insert(3, ("Temperature", say(card.domain.temperature.value, "K", digits=4)))
    if a.synthetic:
        facts.insert(0, ("Synthetic", "made by a program, not measured"))
    return tuple(facts)


def summary_blocks(card: ModelCard, mild: frozenset[str] = frozenset()) -> tuple[Block, ...]:
    """Key figures, and three answers in words.

    Parameters
    ----------
    card : ModelCard
    mild : frozenset of str
        Findings of bad fits that are not what makes them bad.
    """
    wrong = _wrong(card, mild)
    verdict: Tone = card.quality.verdict
    return (
        KeyFigures(items=tuple(_key_figures(card))),
        Prose(heading="What this chip is like", paragraphs=_alike(card)),
        Prose(
            heading="What is wrong with it",
            paragraphs=wrong,
            tone="ok" if wrong == (_NOTHING,) else "warning" if verdict == "ok" else verdict,
        ),
        Prose(heading="Can it be trusted?", paragraphs=_quality(card), tone=verdict),
    )


_NOTHING = "Nothing was found."


def _key_figures(card: ModelCard) -> list[KeyFigure]:
    words = {"ok": "✓ ok", "warning": "! warning", "bad": "✕ bad"}
    items = [
        KeyFigure(label="Verdict", value=words[card.quality.verdict], tone=card.quality.verdict)
    ]
    levels = _measured(card)
    if levels:
        first, last = levels[0].mean, levels[-1].mean
        detail = ""
        if first is not None and last is not None:
            detail = say(first.value, "S")
            if len(levels) > 1:
                detail = f"{detail} to {say(last.value, 'S')}"
        items.append(KeyFigure(label="Levels", value=_level_count(card), detail=detail))
    if card.bits_per_cell is not None:
        w = write(card.bits_per_cell)
        items.append(KeyFigure(label="Bits per cell", value=w.value, detail=w.interval))
    worst = max(_relative(card), default=None, key=lambda x: x[0])
    if worst is not None:
        items.append(
            KeyFigure(label="Largest spread", value=share(worst[0]), detail=f"of G, at {worst[1]}")
        )
    if card.failure:
        f = max(card.failure, key=lambda x: x.probability.value)
        w = write(f.probability, percent=True)
        where = f", {_name(card, f.level)}" if len(card.failure) > 1 else ""
        items.append(
            KeyFigure(
                label="Most failures",
                value=w.value_with_unit,
                detail=f"{w.interval}{where}" if w.interval else where.lstrip(", "),
            )
        )
    if card.stuck is not None:
        total = card.stuck.low.value + card.stuck.high.value
        items.append(KeyFigure(label="Stuck cells", value=share(total), detail="low and high"))
    return items + _group_figures(card)[: max(_FIGURES - len(items), 0)]


def _group_figures(card: ModelCard) -> list[KeyFigure]:
    """Key figures of the other groups, for where the programming sweeps leave room."""
    items = []
    if card.retention is not None:
        r = card.retention
        if r.collapsed is not None:
            w = write(r.collapsed, percent=True)
            tone: Tone = "bad" if r.collapsed.value > _COLLAPSE else "plain"
            item = KeyFigure(
                label="Lost their state", value=w.value_with_unit, detail=w.interval, tone=tone
            )
            items.append(item)
        items.append(KeyFigure(label="Followed for", value=duration(r.longest_time.value)))
    if card.iv is not None and card.iv.nonlinearity is not None:
        w = write(card.iv.nonlinearity)
        items.append(KeyFigure(label="Nonlinearity b", value=w.value_with_unit, detail=w.interval))
    if card.line is not None and card.line.wordline_resistance is not None:
        w = write(card.line.wordline_resistance)
        items.append(
            KeyFigure(label="Wordline segment", value=w.value_with_unit, detail=w.interval)
        )
    return items


def _alike(card: ModelCard) -> tuple[str, ...]:
    out = [x for x in (_levels_words(card), _variation_words(card), _field_words(card)) if x]
    other: list[str] = []
    if card.iv is not None and card.iv.nonlinearity is not None:
        b = with_interval(card.iv.nonlinearity)
        other.append(f"Current grows faster than voltage with b = {b}.")
    if card.read_noise is not None and card.read_noise.coefficient is not None:
        c, scatter = card.read_noise, with_interval(card.read_noise.coefficient, percent=True)
        at = f" at {say(c.reference_conductance.value, 'S')}" if c.reference_conductance else ""
        other.append(f"Repeated reads of one state scatter by {scatter} of its conductance{at}.")
    if card.retention is not None:
        r = card.retention
        first, last = (duration(t.value) for t in (r.reference_time, r.longest_time))
        span = f"from {first} to {last}" if first != last else f"at {last} only"
        other.append(f"Retention was followed {span}.")
        if r.collapsed is not None and r.collapsed.value > 0:
            lost = with_interval(r.collapsed, percent=True)
            other.append(f"Of the conducting cells, {lost} lost their state.")
    if card.line is not None and card.line.wordline_resistance is not None:
        w = with_interval(card.line.wordline_resistance)
        other.append(f"A wordline segment has {w}.")
    if other:
        out.append(" ".join(other))
    return tuple(out) or ("The file holds too little to say.",)


def _levels_words(card: ModelCard) -> str:
    levels = _measured(card)
    if not levels:
        return ""
    first, last = levels[0], levels[-1]
    if first.mean is None or last.mean is None:
        return ""
    if len(levels) == 1:
        text = f"One level, at {with_interval(first.mean)}"
    else:
        count = _level_count(card)
        text = f"{count} levels, from {with_interval(first.mean)} to {with_interval(last.mean)}"
        if first.mean.value > 0:
            text += f", a ratio of {number(last.mean.value / first.mean.value)}"
    off = [
        (abs(x.mean.value / x.target.value - 1), x)
        for x in levels
        if x.mean and x.target and x.target.value > 0
    ]
    if off:
        far, at = max(off, key=lambda p: p[0])
        where = f", furthest at {at.name}" if len(levels) > 1 else ""
        whose = "their targets" if len(levels) > 1 else "its target"
        means = "means lie" if len(levels) > 1 else "it lies"
        text += f"; {means} within {share(max(far, _ON_TARGET))} of {whose}{where}"
    sentences = [f"{text}."]
    if card.bits_per_cell is not None:
        bits = write(card.bits_per_cell)
        within = f" ({bits.interval})" if bits.interval else ""
        sentences.append(f"A cell stores {bits.value}{within} bits.")
    return " ".join(sentences)


def _variation_words(card: ModelCard) -> str:
    sentences = []
    relative = _relative(card)
    if relative:
        low, high = min(relative), max(relative)
        if len(relative) == 1:
            sentences.append(f"Accepted readings spread by {share(low[0])} of the level's mean.")
        else:
            sentences.append(
                f"Accepted readings spread by {share(low[0])} ({low[1]}) to "
                f"{share(high[0])} ({high[1]}) of the level's mean."
            )
    shares = [s for v in card.variation if (s := _variance_shares(v))]
    if shares:
        parts = []
        for name, said in (
            ("d2d", "differences between cells"),
            ("c2c", "differences between cycles"),
            ("read", "read noise"),
        ):
            values = [s[name] for s in shares if name in s]
            if values:
                low_share, high_share = min(values), max(values)
                span = (
                    share(low_share)
                    if share(low_share) == share(high_share)
                    else f"{number(100 * low_share, 2)} to {share(high_share)}"
                )
                parts.append(f"{span} is {said}")
        sentences.append(f"Of the variance, {listed(parts)}.")
    elif any(v.d2d for v in card.variation):
        sentences.append(
            "Differences between cells and between cycles cannot be told apart with one sweep."
        )
    return " ".join(sentences)


def _field_words(card: ModelCard) -> str:
    found = [
        v.spatial
        for v in card.variation
        if v.spatial
        and v.spatial.share
        and v.spatial.p_value is not None
        and v.spatial.p_value < 0.01
    ]
    if found:
        best = max(found, key=lambda s: s.share.value if s.share else 0.0)
        if best.share is not None:
            length = (
                f" with a correlation length of {with_interval(best.correlation_length)} cells"
                if best.correlation_length
                else ""
            )
            return (
                "Neighbouring cells are alike: a smooth field makes up to "
                f"{with_interval(best.share, percent=True)} of the variance between cells{length}."
            )
    tested = [v for v in card.variation if v.spatial and v.spatial.p_value is not None]
    return "No smooth field over the array was found." if tested else ""


def _wrong(card: ModelCard, mild: frozenset[str]) -> tuple[str, ...]:
    findings = [
        (fit_name(name), finding, fit.verdict == "bad" and finding not in mild)
        for name, fit in card.quality.fits.items()
        if fit.verdict in ("bad", "warning")
        for finding in fit.findings
    ]
    severe = [f"{name}: {finding}." for name, finding, bad in findings if bad]
    others = [f"{name}: {finding}." for name, finding, bad in findings if not bad]
    cells = _fault_words(card)
    out = [*severe[:_TOLD], *([cells] if cells else []), *others[: max(_TOLD - len(severe), 0)]]
    left = len(findings) - min(len(findings), _TOLD)
    if left:
        are = "is" if left == 1 else "are"
        out.append(f"{counted(left, 'more thing')} to know {are} listed under Findings.")
    return tuple(out) or (_NOTHING,)


def _fault_words(card: ModelCard) -> str:
    sentences = []
    failing = [f for f in card.failure if f.probability.value > 0]
    if failing:
        worst = max(failing, key=lambda f: f.probability.value)
        where = f" at {_name(card, worst.level)}" if len(card.failure) > 1 else ""
        most = "at most " if len(card.failure) > 1 else ""
        p = with_interval(worst.probability, percent=True)
        sentences.append(f"Programming is not accepted in {most}{p} of the attempts{where}.")
    if card.stuck is not None:
        parts = [
            f"{with_interval(q, percent=True)} of the cells are stuck {side}"
            for side, q in (("low", card.stuck.low), ("high", card.stuck.high))
            if _seen(card, f"stuck {side}", q.value)
        ]
        if parts:
            sentences.append(f"{listed(parts)}.")
    screened = card.quality.screened
    if screened is not None:
        dead = {k: n for k, n in screened.reasons.items() if "dead" in k.lower() and n}
        if dead:
            said = [
                f"{counted(n, 'cell')} lie in {_DEAD.get(k.replace('_', ' '), k)}"
                for k, n in dead.items()
            ]
            sentences.append(f"{listed(said)}.")
        if screened.clipped_reads:
            sentences.append(f"{counted(screened.clipped_reads, 'reading')} sit at a rail.")
    return " ".join(s[:1].upper() + s[1:] for s in sentences)


def _seen(card: ModelCard, reason: str, value: float) -> bool:
    """Whether any cell was screened out for this; the share's estimate is never quite zero."""
    screened = card.quality.screened
    if screened is None or not screened.reasons:
        return value > 0
    known = {k.replace("_", " "): n for k, n in screened.reasons.items()}
    return known.get(reason, 0) > 0


def _quality(card: ModelCard) -> tuple[str, ...]:
    sentences = [card.quality.summary or _TRUST[card.quality.verdict]]
    heldout = [h for h in card.quality.heldout if h.n_observations]
    if heldout:
        total = sum(h.n_observations for h in heldout)
        inside = {
            p: sum(getattr(h, f"coverage{p}") * h.n_observations for h in heldout) / total
            for p in (50, 90, 99)
        }
        sentences.append(
            f"Of {total:,} readings kept from the fit, {share(inside[50], digits=3)}, "
            f"{share(inside[90], digits=3)} and {share(inside[99], digits=3)} fall inside the "
            "50, 90 and 99 % intervals predicted for them."
        )
    if card.array.synthetic:
        sentences.append("The measurements are synthetic: a program made them.")
    return (" ".join(sentences),)


def _measured(card: ModelCard) -> list[LevelCard]:
    return [x for x in card.levels if x.mean is not None]


def _level_count(card: ModelCard) -> str:
    """How many levels have an estimate, and of how many where some have none."""
    some, every = len(_measured(card)), len(card.levels)
    return str(some) if some == every else f"{some} of {every}"


def _relative(card: ModelCard) -> list[tuple[float, str]]:
    """Spread over mean of each level whose mean is well above zero."""
    return [
        (x.std.value / x.mean.value, x.name)
        for x in card.levels
        if x.mean and x.std and x.mean.value > 0 and x.std.value < x.mean.value
    ]


def _variance_shares(v: VariationCard) -> dict[str, float]:
    """Shares of the variance by component; empty where there is but one."""
    parts = {
        name: q.value**2 for name in ("d2d", "c2c", "read") if (q := getattr(v, name)) is not None
    }
    total = sum(parts.values())
    return {k: x / total for k, x in parts.items()} if len(parts) > 1 and total > 0 else {}


def _name(card: ModelCard, level: int) -> str:
    return next((x.name for x in card.levels if x.index == level), f"L{level}")
