"""Groups whose data span the array: targets, programming sweeps, reads, endurance, MVM."""

from __future__ import annotations

from collections.abc import Mapping

from rramfit.measurement.file.contract.rules import AttributeRule, DatasetRule, GroupRule

__all__ = ["ARRAY_GROUPS", "read_voltage"]


def read_voltage(*, needed: bool) -> AttributeRule:
    """Return the rule of the attribute `read_voltage`."""
    return AttributeRule(kind="voltage", needed=needed, means="voltage at which cells are read")


_SWEEPS = ("sweep", "row", "col")
_INDEX = "index into /levels, from 0; -1 = not programmed"


def _reads(time: str) -> Mapping[str, DatasetRule]:
    return {
        "conductance": DatasetRule(
            kind="conductance",
            axes=("read", "row", "col"),
            gaps=True,
            streamed=True,
            means="conductance of each cell at each read",
        ),
        "time": DatasetRule(kind="time", axes=("read",), means=time),
        "level": DatasetRule(kind="integer", axes=("row", "col"), means=_INDEX),
    }


def _session(axis: str) -> Mapping[str, DatasetRule]:
    """Return the rule of the dataset `session`, a factor of a gauge study."""
    return {
        "session": DatasetRule(
            kind="text",
            axes=(axis,),
            needed=False,
            means=f"tester, day or operator session of each {axis}",
            since="1.1",
        )
    }


ARRAY_GROUPS: Mapping[str, GroupRule] = {
    "levels": GroupRule(
        signal="target",
        means="Target levels, in rising order of target conductance.",
        datasets={
            "target": DatasetRule(
                kind="conductance", axes=("level",), means="target conductance of each level"
            ),
            "lower": DatasetRule(
                kind="conductance",
                axes=("level",),
                needed=False,
                gaps=True,
                means="lower limit of the verify window; NaN = open (layout 1.1)",
            ),
            "upper": DatasetRule(
                kind="conductance",
                axes=("level",),
                needed=False,
                gaps=True,
                means="upper limit of the verify window; NaN = open (layout 1.1)",
            ),
            "name": DatasetRule(
                kind="text", axes=("level",), needed=False, means="name of each level"
            ),
        },
    ),
    "program": GroupRule(
        signal="conductance",
        means=(
            "Programming sweeps. One sweep programs the array once and reads it back; several "
            "sweeps of one cell at one level are its cycles. Without `verified`, a cell is "
            "accepted if it is read back inside the verify window of its level. Without `level`, "
            "the levels are found by clustering."
        ),
        datasets={
            "conductance": DatasetRule(
                kind="conductance",
                axes=_SWEEPS,
                gaps=True,
                streamed=True,
                means="conductance as read back after the last pulse",
            ),
            "level": DatasetRule(
                kind="integer",
                axes=_SWEEPS,
                short=("sweep",),
                needed=False,
                streamed=True,
                means=_INDEX,
            ),
            "verified": DatasetRule(
                kind="flag",
                axes=_SWEEPS,
                needed=False,
                streamed=True,
                means="true if the tester accepted the cell",
            ),
            "pulses": DatasetRule(
                kind="integer",
                axes=_SWEEPS,
                needed=False,
                streamed=True,
                means="number of pulses used",
            ),
            **_session("sweep"),
        },
        attributes={
            "read_voltage": read_voltage(needed=True),
            "max_pulses": AttributeRule(
                kind="integer", means="pulses after which the tester stops trying"
            ),
        },
    ),
    "reads": GroupRule(
        signal="conductance",
        means="Repeated reads with no programming between them.",
        datasets={**_reads("time of each read"), **_session("read")},
        attributes={
            "read_voltage": read_voltage(needed=True),
            "temperature": AttributeRule(kind="temperature", means="temperature of the chip"),
        },
    ),
    "retention": GroupRule(
        signal="conductance",
        means=(
            "Reads over long times after programming. Several bakes are subgroups, for example "
            "/retention/bake0 and /retention/bake1, each with the datasets and attributes below; "
            "the fits at one temperature use the first."
        ),
        parts="bake",
        datasets=_reads("time since programming, 0 or more"),
        attributes={
            "read_voltage": read_voltage(needed=False),
            "temperature": AttributeRule(
                kind="temperature", needed=True, means="temperature of the bake"
            ),
        },
    ),
    "endurance": GroupRule(
        signal="conductance",
        means="Conductance of each switched state against the number of SET/RESET cycles.",
        datasets={
            "conductance": DatasetRule(
                kind="conductance",
                axes=("point", "state", "row", "col"),
                gaps=True,
                means="conductance of each state at each point",
            ),
            "cycle": DatasetRule(
                kind="integer", axes=("point",), means="SET/RESET cycles done so far"
            ),
        },
    ),
    "mvm": GroupRule(
        signal="current",
        means=(
            "The whole array driven at once, used to fit the line resistance. Current flows from "
            "the drivers at column 0 into the rows, and out of the columns below the last row."
        ),
        datasets={
            "voltage": DatasetRule(
                kind="voltage", axes=("pattern", "row"), means="voltage of each row"
            ),
            "current": DatasetRule(
                kind="current", axes=("pattern", "col"), gaps=True, means="current of each column"
            ),
            "conductance": DatasetRule(
                kind="conductance",
                axes=("row", "col"),
                gaps=True,
                means="state of the cells, read one by one",
            ),
        },
        attributes={
            "inactive_rows": AttributeRule(
                kind="text",
                needed=True,
                choices=("grounded", "floating", "gated"),
                means=(
                    "what a row with 0 V is connected to; gated = its cells are cut off by their "
                    "transistors"
                ),
            ),
            "cell_reads": AttributeRule(
                kind="text",
                needed=True,
                choices=("intrinsic", "terminal"),
                means=(
                    "intrinsic = `conductance` is corrected for the wires; terminal = as seen at "
                    "the terminals, wires in series"
                ),
            ),
        },
    ),
}
"""Groups whose data span the array."""
