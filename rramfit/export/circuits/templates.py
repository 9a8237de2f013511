"""Texts beside the Verilog-A cell: I-V sweeps, and statistics for ngspice and Spectre."""

__all__ = ["IV_NGSPICE", "IV_VACASK", "NGSPICE_STATISTICS", "SPECTRE_STATISTICS", "cells_ngspice"]

IV_VACASK = """I-V of a cell of the highest level
ground 0
load "rram_cell.osdi"
model vsource vsource
model cell rram_cell
v1 (a 0) vsource dc=0
c1 (a 0) cell level={top}
control
  options reltol=1e-9
  save default i(v1)
  sweep v1 instance="v1" parameter="dc" from={voltage:.6g} to=-{voltage:.6g} step=-{step:.6g}
    analysis iv op
endc
"""

IV_NGSPICE = """I-V of a cell of the highest level
.model rram rram_cell
v1 a 0 0
n1 a 0 rram level={top}
.options reltol=1e-9
.control
pre_osdi rram_cell.osdi
dc v1 -{voltage:.6g} {voltage:.6g} {step:.6g}
let current = -i(v1)
set wr_vecnames
set numdgt=12
wrdata iv.txt current
.endc
.end
"""

NGSPICE_STATISTICS = """* Cells that differ by chance, for an ngspice that was built with OSDI
* .control
* pre_osdi rram_cell.osdi
* .endc
.model rram rram_cell
.subckt rram_cell_mc p n level=0
Ncell p n rram level={level} d={agauss(0,1,1)} c={agauss(0,1,1)} r={agauss(0,1,1)} e={agauss(0,1,1)}
.ends
"""

SPECTRE_STATISTICS = """// Cells that differ by chance, for Spectre
simulator lang=spectre
ahdl_include "rram_cell.va"
inline subckt rram_cell_mc (p n)
parameters level=0 d=0 c=0 r=0 e=0
rram_cell_mc (p n) rram_cell level=level d=d c=c r=r e=e
ends rram_cell_mc
statistics {
  mismatch {
    vary d dist=gauss std=1
    vary c dist=gauss std=1
    vary r dist=gauss std=1
    vary e dist=gauss std=1
  }
}
"""

_CELLS = """Cells of the highest level that differ by chance: mean and standard deviation
.include statistics.lib
.options seed=1
{cells}
.control
pre_osdi rram_cell.osdi
op
let conductance = vector({count})
let k = 0
while k < {count}
  set i = $&k
  let conductance[k] = -i(v$i)/{voltage:.6g}
  let k = k + 1
end
print mean(conductance) stddev(conductance)
.endc
.end
"""


def cells_ngspice(count: int, *, level: int, voltage: float) -> str:
    """Return a netlist of `count` cells of a level, each at `voltage` [V]."""
    cells = (
        f"v{k} a{k} 0 {voltage:.6g}\nx{k} a{k} 0 rram_cell_mc level={level}" for k in range(count)
    )
    return _CELLS.format(cells="\n".join(cells), count=count, voltage=voltage)
