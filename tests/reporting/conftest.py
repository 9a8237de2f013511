"""A characterized array with all groups, built from given numbers instead of fits."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from rramfit.card import CellMaps, Fault, ModelCard, Quantity, seal
from rramfit.card.quality import (
    CellsFile,
    FitQuality,
    HeldOut,
    InputFile,
    Provenance,
    Quality,
    ScreenedCard,
)
from rramfit.card.schema import (
    Alternative,
    ArrayInfo,
    Distribution,
    Domain,
    DriftCard,
    EnduranceCard,
    EnduranceState,
    FailureCard,
    IVCard,
    LevelCard,
    LineCard,
    LineOffsets,
    ReadNoiseCard,
    ReadoutCard,
    RetentionCard,
    SpatialCard,
    StuckCard,
    VariationCard,
)
from rramfit.fitting.results.result import Finding, Verdict
from rramfit.fitting.screening.accumulate import accumulate
from rramfit.measurement import (
    MVM,
    ArrayIdentity,
    Endurance,
    IVSweeps,
    Levels,
    Measurement,
    Readout,
    program_in_memory,
    reads_in_memory,
)
from rramfit.provenance import package_version

GROUPS = ("reads", "retention", "endurance", "iv", "mvm", "readout")


def about(value: float, unit: str, relative: float = 0.01, scale: str = "linear") -> Quantity:
    return Quantity.estimated(value, abs(value) * relative, unit, scale=scale)


def make_chip(
    rows: int = 24, cols: int = 20, levels: int = 3, sweeps: int = 4, groups: tuple = GROUPS
) -> SimpleNamespace:
    """Return the parts of a `Characterization` that a report uses."""
    rng = np.random.default_rng(7)
    target = np.linspace(5e-6, 90e-6, levels)
    spread = 0.4e-6 + 0.03 * target
    r, c = np.indices((rows, cols))
    field = np.sin(2 * np.pi * (r / rows + 0.3 * c / cols)) * 0.7 + 0.5 * (c / cols - 0.5)
    offset_of_cell = 0.7 * rng.standard_normal((rows, cols)) + field
    fault = np.zeros((rows, cols), dtype=np.int8)
    fault[rng.random((rows, cols)) < 0.01] = Fault.STUCK_LOW
    fault[rng.random((rows, cols)) < 0.006] = Fault.STUCK_HIGH
    fault[:, cols // 3] = Fault.DEAD_COL
    fault[rows // 2, : cols // 4] = Fault.NOT_MEASURED

    level = np.repeat(np.arange(levels), sweeps)
    drawn = rng.standard_normal((level.size, rows, cols))
    mean, std = target[level][:, None, None], spread[level][:, None, None]
    g = mean + std * (0.7 * offset_of_cell + 0.7 * drawn)
    g = np.where(fault == Fault.STUCK_LOW, 1e-6, np.where(fault == Fault.STUCK_HIGH, 150e-6, g))
    g = np.where(fault == Fault.DEAD_COL, 1e-9, g)
    g = np.where(fault == Fault.NOT_MEASURED, np.nan, g)
    verified = (rng.random(g.shape) > 0.02) & (fault == Fault.OK)
    given = Levels(target=target, lower=target - 2.5 * spread, upper=target + 2.5 * spread)
    program = program_in_memory(g, read_voltage=0.2, level=level, verified=verified, levels=given)
    statistics = accumulate(program, levels)

    held_level = rng.integers(0, levels, (rows, cols))
    state = target[held_level] + spread[held_level] * offset_of_cell
    times = np.array([1.0, 10.0, 100.0, 1e3, 1e4])
    noise = rng.standard_normal((12, rows, cols))
    voltage = np.linspace(-0.4, 0.4, 17)
    ohmic = np.abs(state.ravel()[:40])[:, None]
    on = rng.random((8, rows)) < 0.5
    ideal = 0.2 * on @ state
    codes = 128 + 1e6 * np.linspace(-1e-4, 1e-4, 21)[:, None] * (1 + 0.01 * rng.random(cols))
    everything = {
        "reads": reads_in_memory(
            state * (1 + 0.01 * noise), time=np.arange(12.0), level=held_level, read_voltage=0.2
        ),
        "retention": reads_in_memory(
            np.array([state * (1 - 0.01 * np.log10(t)) for t in times]),
            time=times,
            level=held_level,
            temperature=358.15,
        ),
        "endurance": Endurance(
            conductance=np.array([[state * 0.1, state * 0.9], [state * 0.15, state * 0.8]]),
            cycle=np.array([1, 100_000]),
        ),
        "iv": IVSweeps(
            voltage=voltage,
            current=ohmic * np.sinh(2 * voltage) / 2 + 1e-9,
            row=np.arange(40) // cols,
            col=np.arange(40) % cols,
        ),
        "mvm": MVM(
            voltage=0.2 * on,
            current=ideal * (1 - 0.2 * np.arange(cols) / cols),
            conductance=state,
            inactive_rows="grounded",
            cell_reads="intrinsic",
        ),
        "readout": Readout(
            input=np.linspace(-1e-4, 1e-4, 21),
            code=np.round(codes + 0.4 * np.sin(np.arange(21))[:, None])[None],
            channel_col=None,
            bits=8,
            full_scale=1e-4,
            zero_code=128,
        ),
    }
    measurement = Measurement(
        path=None,
        identity=ArrayIdentity(array_id="lot7/die<3>", cell="1T1R", synthetic=True),
        rows=rows,
        cols=cols,
        levels=given,
        program=program,
        **{name: everything[name] for name in groups},
    )
    offset = np.where(fault == Fault.OK, statistics.mean - target[:, None, None], np.nan)
    cells = CellMaps(
        fault=fault,
        offset=offset,
        hard_posterior=np.zeros(offset.shape),
        line_offset=0.2 * spread[:, None, None] * np.sin(r % 4 + 3 * c),
    )
    card = make_card(rows, cols, target, spread, statistics.count.sum((1, 2)), fault, groups)
    step = Finding(
        "The read noise at L0 is <below> one step of the converter.", "Use a finer range."
    )
    verdicts = {"levels": Verdict(), "variation": Verdict((step,))}
    if "retention" in groups:
        few = Finding("There are only 2 read times.", "Read at 3 or more times.")
        collapse = Finding(
            "Half of the cells collapsed.", "Measure again.", severe=True, affected=0.5
        )
        verdicts["retention"] = Verdict((few, collapse))
    fits = {name: verdict.to_card() for name, verdict in verdicts.items()}
    quality = card.quality.model_copy(update={"fits": fits | card.quality.fits})
    return SimpleNamespace(
        card=seal(card.model_copy(update={"quality": quality})),
        measurement=measurement,
        statistics=statistics,
        cells=cells,
        verdicts=verdicts,
    )


def make_card(rows, cols, target, spread, counts, fault, groups) -> ModelCard:
    levels = len(target)
    reasons = {x.label: int((fault == x).sum()) for x in Fault if x is not Fault.OK}
    given = Quantity.given
    card = ModelCard(
        name="lot7-die3",
        digest="sha256:" + "0" * 64,
        array=ArrayInfo(
            id="lot7/die<3>", rows=rows, cols=cols, cell="1T1R", lot="lot7", synthetic=True
        ),
        levels=[
            LevelCard(
                index=k,
                name=f"L{k}",
                target=given(target[k], "S"),
                lower=given(target[k] - 2.5 * spread[k], "S"),
                upper=given(target[k] + 2.5 * spread[k], "S"),
                n_cells=rows * cols,
                n_observations=int(counts[k]),
                mean=about(target[k], "S", 0.002),
                std=about(spread[k], "S", 0.02, "log"),
                distribution=Distribution(
                    family="normal",
                    parameters={
                        "loc": about(target[k], "S", 0.002),
                        "scale": about(spread[k], "S", 0.02, "log"),
                    },
                    alternatives=[
                        Alternative(family="lognormal", aic=-100.0, bic=-90.0),
                        Alternative(
                            family="normal",
                            aic=-120.0,
                            bic=-110.0,
                            heldout_log_likelihood=12.5,
                            p_value=0.31,
                        ),
                    ],
                ),
                upper_threshold=about((target[k] + target[k + 1]) / 2, "S", 0.002)
                if k + 1 < levels
                else None,
                overlap=about(1.3e-3, "1", 0.2, "logit") if k + 1 < levels else None,
            )
            for k in range(levels)
        ],
        variation=[
            VariationCard(
                level=k,
                domain="linear",
                d2d=about(0.75 * spread[k], "S", 0.05, "log"),
                c2c=about(0.65 * spread[k], "S", 0.01, "log"),
                read=about(0.2 * spread[k], "S", 0.02, "log"),
                c2c_includes_read=False,
                spatial=SpatialCard(
                    row_trend=about(1e-9, "S", 2.0),
                    col_trend=about(8e-9, "S", 0.3),
                    correlation_length=about(9.0, "1", 0.2, "log"),
                    share=about(0.35, "1", 0.2, "logit"),
                    p_value=0.0004,
                ),
                lines=[
                    LineOffsets(axis=axis, period=period, std=about(size, "S", 0.1, "log"))
                    for axis, period, size in (
                        ("col", 4, 0.2 * spread[k]),
                        ("col", 1, 0.1 * spread[k]),
                        ("row", 1, 0.05 * spread[k]),
                    )
                ]
                if k
                else None,
            )
            for k in range(levels)
        ],
        variation_correlation=(np.full((levels, levels), 0.6) + 0.4 * np.eye(levels)).tolist(),
        line_correlation=(np.full((levels, levels), 0.8) + 0.2 * np.eye(levels)).tolist(),
        failure=[
            FailureCard(
                level=k,
                probability=about(0.03 + 0.002 * k, "1", 0.1, "logit"),
                hard=about(0.01, "1", 0.3, "logit"),
                soft=about(0.015, "1", 0.1, "logit"),
                n_attempts=rows * cols,
                conductance=given(4e-6, "S"),
            )
            for k in range(levels)
        ],
        stuck=StuckCard(
            low=about(0.01, "1", 0.2, "logit"),
            high=about(0.006, "1", 0.3, "logit"),
            low_conductance=about(1e-6, "S"),
            high_conductance=about(150e-6, "S"),
            dead_rows=Quantity.within(0.0, 0.01, "1", (0.0, 0.03)),
            dead_cols=about(0.05, "1", 0.4, "logit"),
        ),
        bits_per_cell=about(1.58, "1", 0.002),
        line=LineCard(
            wordline_resistance=about(2.1, "ohm", 0.03),
            bitline_resistance=about(1.7, "ohm", 0.03),
            combinations={"driver + sense": about(410.0, "ohm", 0.02)},
            inactive_rows="grounded",
        )
        if "mvm" in groups
        else None,
        iv=IVCard(nonlinearity=about(2.0, "1/V", 0.02), offset=about(1e-9, "A", 0.1))
        if "iv" in groups
        else None,
        read_noise=ReadNoiseCard(
            coefficient=about(0.01, "1", 0.02, "log"),
            exponent=about(-0.1, "1", 0.2),
            reference_conductance=given(50e-6, "S"),
        )
        if "reads" in groups
        else None,
        retention=RetentionCard(
            temperature=given(358.15, "K"),
            reference_time=given(1.0, "s"),
            longest_time=given(1e4, "s"),
            levels=[DriftCard(level=k, drift=about(-2e-7, "S", 0.1)) for k in range(levels)],
        )
        if "retention" in groups
        else None,
        endurance=EnduranceCard(
            first_cycle=1,
            longest_cycle=100_000,
            states=[
                EnduranceState(state=k, mean=about(5e-6 + k * 4e-5, "S"), std=about(4e-6, "S"))
                for k in range(2)
            ],
            window=about(4e-5, "S"),
            failed=about(0.01, "1", 0.3, "logit"),
        )
        if "endurance" in groups
        else None,
        readout=ReadoutCard(
            bits=8,
            full_scale=given(1e-4, "A"),
            gain=about(1e6, "LSB/A", 0.001),
            channel_gain=[1e6] * cols,
            channel_offset=[128.0] * cols,
            channel_inl=[0.5] * cols,
        )
        if "readout" in groups
        else None,
        domain=Domain(read_voltage=given(0.2, "V"), rows=rows, cols=cols),
        quality=Quality(
            verdict="bad" if "retention" in groups else "warning",
            summary="The fits can be used, with 1 finding: The cells drift.",
            fits={
                name: FitQuality(
                    verdict="not run",
                    findings=[f"The file has no /{name}."],
                    remedies=[f"Measure /{name}."],
                )
                for name in GROUPS
                if name not in groups
            },
            heldout=[
                HeldOut(
                    level=k,
                    log_score=12.4,
                    ks_distance=0.012,
                    coverage50=0.503,
                    coverage90=0.897,
                    coverage99=0.9895,
                    n_observations=500,
                )
                for k in range(levels)
            ],
            screened=ScreenedCard(
                reasons=reasons, clipped_reads=3, cells_used=int((fault == Fault.OK).sum())
            ),
        ),
        provenance=Provenance(
            inputs=[InputFile(name="die3.h5", sha256="ab" * 32)],
            rramfit_version=package_version(),
            arguments={"name": "lot7-die3"},
            seed=3,
            time="2026-02-03T04:05:06Z",
            time_source="measured_at of the input",
        ),
        cells=CellsFile(file="lot7-die3.cells.h5", sha256="cd" * 32),
    )
    return seal(card)


@pytest.fixture(scope="session")
def chip_maker() -> Callable[..., SimpleNamespace]:
    return make_chip


@pytest.fixture(scope="session")
def chip() -> SimpleNamespace:
    return make_chip()


@pytest.fixture(scope="session")
def page(chip: SimpleNamespace) -> str:
    """Return the report of `chip`."""
    from rramfit.reporting import report_characterization

    return report_characterization(chip)
