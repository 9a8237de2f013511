"""Cost model of a mapped network: tiles, conversions, and rough energy and latency.

For one inference, with `vectors` input vectors per matrix and `passes` voltage patterns per vector
(one for unsigned amplitudes, two for signed amplitudes, one per bit for bit-serial inputs):

    MVMs         vectors·passes·tiles
    conversions  vectors·passes·used columns
    energy       MVMs·cells·G·(V/2)²·t_read + conversions·E_adc + driven rows·E_dac, with G the
                 mean over levels and all rows at half the read voltage
    latency      Σ over matrices of vectors·passes·(t_read + t_adc·columns per converter)

Matrices run one after another; the tiles of a matrix run in parallel. Buffers, digital sums,
activations and wires between tiles are not included. The model compares mappings; it does not
predict a chip's power.
"""

from __future__ import annotations

from dataclasses import dataclass

from rramfit.card.quantity import result_html
from rramfit.mapping.layout.plan import MatrixPlan
from rramfit.mapping.tiles.matrix import AnalogMatrix
from rramfit.units import counted, format_quantity

__all__ = ["Constants", "MappingPlan", "MatrixCost", "mapping_plan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Constants:
    """Assumed constants of converters and pulses; replace them by known values."""

    read_time: float = 10e-9  # [s] one pulse on the rows
    adc_time: float = 1e-9  # [s] one conversion
    adc_sharing: int = 8  # columns that share a converter
    adc_energy: float = 2e-12  # [J] one conversion at 8 bits; doubles with each additional bit
    dac_energy: float = 0.1e-12  # [J] driving one row once


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixCost:
    """Cost of one matrix for one inference."""

    name: str
    kind: str
    outputs: int
    inputs: int
    row_blocks: int
    column_blocks: int
    tiles: int
    utilisation: float
    vectors: int
    passes: int
    mvms: int
    conversions: int
    energy: float  # [J]
    latency: float  # [s]


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingPlan:
    """A network on tiles, matrix by matrix; `plans` locate each weight."""

    card: str
    tile: tuple[int, int]
    scheme: str
    slices: int
    weight_values: int
    matrices: tuple[MatrixCost, ...]
    plans: tuple[MatrixPlan, ...]
    constants: Constants

    def total(self, name: str) -> float:
        """Return a sum over matrices of tiles, mvms, conversions, energy or latency."""
        return sum(float(getattr(m, name)) for m in self.matrices)

    @property
    def utilisation(self) -> float:
        """Share of all tiles' cells that hold a part of a weight."""
        used = sum(p.cells_used for p in self.plans)
        return used / (self.total("tiles") * self.tile[0] * self.tile[1])

    def to_json(self) -> dict[str, object]:
        """Return the mapping as JSON types, energies in J and times in s."""
        fields = MatrixCost.__dataclass_fields__
        return {
            "card": self.card,
            "tile": list(self.tile),
            "scheme": self.scheme,
            "slices": self.slices,
            "weight_values": self.weight_values,
            "tiles": int(self.total("tiles")),
            "utilisation": self.utilisation,
            "mvms": int(self.total("mvms")),
            "conversions": int(self.total("conversions")),
            "energy_J": self.total("energy"),
            "latency_s": self.total("latency"),
            "constants": {n: getattr(self.constants, n) for n in Constants.__dataclass_fields__},
            "matrices": [{n: getattr(m, n) for n in fields} for m in self.matrices],
        }

    def _repr_html_(self) -> str:
        rows = {
            m.name: {
                "weights": f"{m.outputs} × {m.inputs}",
                "tiles": str(m.tiles),
                "used": f"{100 * m.utilisation:.0f} %",
                "conversions": str(m.conversions),
                "energy": format_quantity(m.energy, "J", digits=2),
                "latency": format_quantity(m.latency, "s", digits=2),
            }
            for m in self.matrices
        }
        size = f"{self.tile[0]} × {self.tile[1]}"
        return result_html(f"{counted(int(self.total('tiles')), 'tile')} of {size}", rows)


def mapping_plan(
    matrices: list[AnalogMatrix], *, constants: Constants | None = None
) -> MappingPlan:
    """Compute the cost of an analog network.

    Parameters
    ----------
    matrices : list of AnalogMatrix
        From `rramfit.mapping.analog_matrices`; calibration determines whether inputs are signed.
    constants : Constants, optional
    """
    constants = constants or Constants()
    setup = matrices[0].setup
    return MappingPlan(
        card=setup.card_name,
        tile=setup.tile,
        scheme=setup.book.scheme,
        slices=setup.book.slices,
        weight_values=len(setup.book.values),
        matrices=tuple(_cost(m, constants) for m in matrices),
        plans=tuple(m.plan for m in matrices),
        constants=constants,
    )


def _cost(matrix: AnalogMatrix, constants: Constants) -> MatrixCost:
    plan, setup = matrix.plan, matrix.setup
    signed = matrix.calibration is not None and matrix.calibration.signed
    serial = setup.peripherals.input_coding == "bit_serial"
    passes = setup.peripherals.dac_bits if serial else (2 if signed else 1)
    pulses = plan.vectors * passes
    rows, cols = plan.tile
    references = plan.column_blocks if plan.scheme == "offset" else 0
    columns = plan.columns.numel() + references  # used columns of a row block without absent tiles
    full = plan.row_blocks * plan.present.shape[1]
    conversions = pulses * round(columns * plan.row_blocks * plan.tiles / full)
    bits = setup.peripherals.adc_bits or (setup.readout.bits if setup.readout else 8)
    mean = float(setup.book.means.mean())
    cells = plan.tiles * rows * cols * mean  # [S]
    energy = pulses * (cells * (setup.read_voltage / 2) ** 2 * constants.read_time)
    energy += conversions * constants.adc_energy * 2.0 ** (bits - 8)
    energy += pulses * plan.tiles * rows * constants.dac_energy
    shared = min(constants.adc_sharing, cols)
    return MatrixCost(
        name=plan.name,
        kind=plan.kind,
        outputs=plan.outputs,
        inputs=plan.inputs,
        row_blocks=plan.row_blocks,
        column_blocks=plan.column_blocks,
        tiles=plan.tiles,
        utilisation=plan.utilisation,
        vectors=plan.vectors,
        passes=passes,
        mvms=pulses * plan.tiles,
        conversions=conversions,
        energy=energy,
        latency=pulses * (constants.read_time + shared * constants.adc_time),
    )
