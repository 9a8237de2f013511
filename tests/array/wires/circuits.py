"""Reference solutions of a crossbar: dense nodal equations, and ngspice.

They share no code with the solvers. The network is a list of resistors between nodes. Nodes that a
resistor of zero ohm joins are one node. The nodal equations are eliminated in extended precision.
"""

import subprocess

import numpy as np

GROUND = "0"


def network(shape, line, on):
    """Return the wires of one array, (node, node, ohm) each, and the sources of driven rows.

    A broken segment and the drivers of a floating row are absent.
    """
    m, n = shape
    wires, sources = [], {}
    for i in range(m):
        driven = line.inactive_rows != "floating" or on[i]
        for j in range(n):
            ohm = line.r_wl if j else line.r_driver
            if (j or driven) and (i, j) not in line.broken_wl:
                wires.append((("w", i, j - 1) if j else ("left", i), ("w", i, j), ohm))
            if (i, j) not in line.broken_bl:
                last = i == m - 1
                below = GROUND if last else ("b", i + 1, j)
                wires.append((("b", i, j), below, line.r_sense if last else line.r_bl))
        if driven:
            sources["left", i] = i
        if driven and line.drive == "both":
            sources["right", i] = i
            wires.append((("w", i, n - 1), ("right", i), line.r_driver))
    return wires, sources


class Groups(dict):
    """Nodes to the representative of their group."""

    def find(self, node):
        while self.setdefault(node, node) != node:
            node = self[node]
        return node

    def join(self, a, b):
        self[self.find(a)] = self.find(b)


def eliminate(a, c):
    """Solve by Gaussian elimination with row pivots in extended precision."""
    a, c = a.astype(np.longdouble), c.astype(np.longdouble)
    n = len(a)
    for k in range(n):
        p = k + np.argmax(abs(a[k:, k]))
        a[[k, p]], c[[k, p]] = a[[p, k]], c[[p, k]]
        rows = k + 1 + np.flatnonzero(a[k + 1 :, k])
        factor = a[rows, k] / a[k, k]
        a[rows, k:] -= factor[:, None] * a[k, k:]
        c[rows] -= factor * c[k]
    x = np.zeros_like(c)
    for k in range(n - 1, -1, -1):
        x[k] = (c[k] - a[k, k + 1 :] @ x[k + 1 :]) / a[k, k]
    return x


def nodal_solution(g, v, line, active=None):
    """Return column currents (n,), wordline and bitline voltages (m, n) of one vector.

    A node that no resistor connects to a source or to ground is taken at 0 V.
    """
    m, n = g.shape
    on = v != 0 if active is None else active
    if line.inactive_rows == "gated":
        g = g * on[:, None]
    wires, sources = network((m, n), line, on)
    cells = [
        (("w", i, j), ("b", i, j), g[i, j]) for i in range(m) for j in range(n) if g[i, j] != 0
    ]
    merged, connected = Groups(), Groups()
    for a, b, ohm in wires:
        if ohm == 0:
            merged.join(a, b)
    resistors = [(merged.find(a), merged.find(b), np.longdouble(s)) for a, b, s in cells]
    resistors += [(merged.find(a), merged.find(b), 1 / np.longdouble(r)) for a, b, r in wires if r]
    known = {merged.find(s): np.longdouble(v[i] * on[i]) for s, i in sources.items()}
    known[merged.find(GROUND)] = np.longdouble(0)
    for a, b, _ in resistors:
        connected.join(a, b)
    held = {connected.find(x) for x in known}
    nodes = [(k, i, j) for k in "wb" for i in range(m) for j in range(n)]
    inner = {merged.find(x) for x in nodes if connected.find(merged.find(x)) in held}
    at = {x: k for k, x in enumerate(sorted(inner - set(known)))}
    a, c = np.zeros((len(at), len(at)), np.longdouble), np.zeros(len(at), np.longdouble)
    for one, two, s in resistors:
        for x, y in ((one, two), (two, one)):
            if x in at:
                a[at[x], at[x]] += s
                if y in at:
                    a[at[x], at[y]] -= s
                else:
                    c[at[x]] += s * known[y]
    volts = known | dict(zip(at, eliminate(a, c), strict=True))
    wordline, bitline = (
        np.array([[volts.get(merged.find((k, i, j)), 0.0) for j in range(n)] for i in range(m)])
        for k in "wb"
    )
    current = g * (wordline - bitline)
    for i, j in line.broken_bl:
        current[: i + 1, j] = 0  # cells above a break carry no net current into the column
    return current.sum(0).astype(float), wordline.astype(float), bitline.astype(float)


def spice_currents(g, v, line, folder):
    """Return the column currents of one vector from ngspice; no resistance may be zero."""
    m, n = g.shape
    on = v != 0
    wires, sources = network((m, n), line, on)
    if line.inactive_rows == "gated":
        g = g * on[:, None]

    def name(node):
        return node if node == GROUND else "_".join(str(x) for x in node)

    text = ["crossbar"]
    text += [
        f"Rc_{i}_{j} w_{i}_{j} b_{i}_{j} {1 / g[i, j]:.17g}"
        for i, j in np.argwhere(g != 0).tolist()
    ]
    text += [f"V_{name(s)} {name(s)} 0 {v[i]:.17g}" for s, i in sources.items()]
    text += [f"R{k} {name(a)} {name(b)} {ohm:.17g}" for k, (a, b, ohm) in enumerate(wires)]
    held = [j for j in range(n) if (m - 1, j) not in line.broken_bl]
    outputs = " ".join(f"v(b_{m - 1}_{j})" for j in held)
    text += [".options reltol=1e-12 gmin=1e-30", ".op", ".control", "set numdgt=15", "run"]
    text += [f"print {outputs}", ".endc", ".end"]
    netlist = folder / "crossbar.cir"
    netlist.write_text("\n".join(text))
    done = subprocess.run(
        ["ngspice", "-b", str(netlist)], capture_output=True, text=True, check=True
    )
    found = [x.split("=")[1] for x in done.stdout.splitlines() if x.startswith("v(")]
    current = np.zeros(n)
    current[held] = np.array([float(x) for x in found]) / line.r_sense
    return current
