// Values on hover, enlarged figures and their data as CSV. Without scripts the page is complete.
(() => {
  "use strict";
  const number = (v) => Number(v.toPrecision(4)).toString();
  const NO_VALUE = 65535;

  const unpack = async (map) => {
    const bytes = Uint8Array.from(atob(map.codes), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint16Array(await new Response(stream).arrayBuffer());
  };
  const valueOf = (map, code) => {
    if (map.names) return map.names[code] || "";
    return code === NO_VALUE ? "" : number(map.low + (map.high - map.low) * code / (NO_VALUE - 1));
  };

  // From a position in the units of the drawing to the units of an axis, and back.
  const scaled = (axis, v) => axis.scale === "log" ? Math.log10(v) : v;
  const toData = (axis, from, to, at) => {
    const [a, b] = axis.limits.map((v) => scaled(axis, v));
    const v = a + (at - from) / (to - from) * (b - a);
    return axis.scale === "log" ? 10 ** v : v;
  };
  const toDrawing = (axis, from, to, v) => {
    const [a, b] = axis.limits.map((x) => scaled(axis, x));
    return from + (scaled(axis, v) - a) / (b - a) * (to - from);
  };

  const pixel = (map, x, y) => {
    const [left, right, top, bottom] = map.extent;
    const col = Math.floor((x - left) / (right - left) * map.cols);
    const row = Math.floor((y - top) / (bottom - top) * map.rows);
    return row >= 0 && row < map.rows && col >= 0 && col < map.cols ? [row, col] : null;
  };
  const place = ({ map, x, y }, row, col) => {  // the cells, or the middle, that a pixel shows
    const [left, right, top, bottom] = map.extent;
    const along = (i, n, from, to, counted) => {
      if (!counted) return number(from + (i + 0.5) * (to - from) / n);
      const first = Math.round(from + 0.5 + i * (to - from) / n);
      const last = Math.round(from + 0.5 + (i + 1) * (to - from) / n) - 1;
      return last > first ? `${first} to ${last}` : `${first}`;
    };
    const counted = (label) => ["row", "column", "level"].includes(label);
    return [along(row, map.rows, top, bottom, counted(y.label)), along(col, map.cols, left, right, counted(x.label))];
  };

  const at = (axis, v) => axis.names?.[v] ?? number(v);  // the name of a position, if it has one
  const nearest = (data, px, py) => {
    const [x0, x1, y0, y1] = data.box;
    let best = null, least = 144;  // within 12 points
    for (const s of data.series) for (let i = 0; i < s.x.length; i++) {
      const dx = toDrawing(data.x, x0, x1, s.x[i]) - px;
      const dy = toDrawing(data.y, y1, y0, s.y[i]) - py;
      const d = dx * dx + dy * dy;
      if (d < least) { least = d; best = `${s.name ? s.name + ": " : ""}${at(data.x, s.x[i])}, ${at(data.y, s.y[i])}`; }
    }
    return best;
  };

  const tip = document.createElement("output");
  tip.className = "tip";
  tip.hidden = true;
  document.body.append(tip);

  const describe = (figure, svg, event) => {
    const { data, codes } = figure;
    const p = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    const [x0, x1, y0, y1] = data.box;
    if (p.x < x0 || p.x > x1 || p.y < y0 || p.y > y1) return null;
    if (!data.map) return nearest(data, p.x, p.y);
    const at = pixel(data.map, toData(data.x, x0, x1, p.x), toData(data.y, y1, y0, p.y));
    if (!at || !codes) return null;
    const value = valueOf(data.map, codes[at[0] * data.map.cols + at[1]]) || "–";
    const [y, x] = place(data, ...at);
    return `${data.y.label} ${y}, ${data.x.label} ${x}: ${value}`;
  };
  const watch = (figure, svg, layer) => {
    svg.addEventListener("pointermove", (event) => {
      const text = describe(figure, svg, event);
      tip.hidden = text === null;
      if (text === null) return;
      if (tip.parentNode !== layer) layer.append(tip);
      tip.textContent = text;
      const left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 6);
      tip.style.left = `${Math.max(left, 4)}px`;
      tip.style.top = `${Math.max(event.clientY - tip.offsetHeight - 10, 4)}px`;
    });
    svg.addEventListener("pointerleave", () => { tip.hidden = true; });
  };

  const csv = ({ data, codes }) => {
    const quote = (t) => /[",\n]/.test(t) ? `"${t.replaceAll('"', '""')}"` : t;
    if (data.map) {
      const lines = [`${quote(data.y.label || "y")},${quote(data.x.label || "x")},value`];
      for (let r = 0; r < data.map.rows; r++) for (let c = 0; c < data.map.cols; c++)
        lines.push([...place(data, r, c), quote(valueOf(data.map, codes[r * data.map.cols + c]))].join(","));
      return lines.join("\n") + "\n";
    }
    const lines = [`series,${quote(data.x.label || "x")},${quote(data.y.label || "y")}`];
    for (const s of data.series) s.x.forEach((x, i) => lines.push(`${quote(s.name)},${x},${s.y[i]}`));
    return lines.join("\n") + "\n";
  };
  const download = (name, text) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };

  // The enlarged figure: the wheel zooms about the pointer, dragging moves, a double click resets.
  const enlarge = (figure, original) => {
    const dialog = document.createElement("dialog");
    dialog.className = "enlarged";
    const svg = original.cloneNode(true);
    const home = svg.getAttribute("viewBox").split(" ").map(Number);
    let view = [...home];
    const show = () => svg.setAttribute("viewBox", view.join(" "));
    svg.addEventListener("wheel", (event) => {
      event.preventDefault();
      const p = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
      const by = Math.min(Math.max(event.deltaY > 0 ? 1.2 : 1 / 1.2, 0.02 * home[2] / view[2]), home[2] / view[2]);
      view = [p.x - (p.x - view[0]) * by, p.y - (p.y - view[1]) * by, view[2] * by, view[3] * by];
      show();
    }, { passive: false });
    svg.addEventListener("pointermove", (event) => {
      if (event.buttons !== 1) return;
      const unit = view[2] / svg.getBoundingClientRect().width;
      view[0] -= event.movementX * unit;
      view[1] -= event.movementY * unit;
      show();
    });
    svg.addEventListener("dblclick", () => { view = [...home]; show(); });
    const close = document.createElement("button");
    close.type = "button";
    close.textContent = "Close";
    const end = () => { document.body.append(tip); tip.hidden = true; dialog.remove(); };
    close.addEventListener("click", () => { dialog.close(); end(); });
    dialog.addEventListener("close", end);  // by the Escape key
    dialog.append(svg, close);
    document.body.append(dialog);
    watch(figure, svg, dialog);
    dialog.showModal();
  };

  for (const element of document.querySelectorAll("figure")) {
    const source = element.querySelector('script[type="application/json"]');
    const svg = element.querySelector(".plot svg");
    if (!source || !svg) continue;
    const figure = { data: JSON.parse(source.textContent), codes: null };
    const ready = figure.data.map ? unpack(figure.data.map).then((codes) => { figure.codes = codes; }) : Promise.resolve();
    watch(figure, svg, document.body);
    const tools = document.createElement("p");
    tools.className = "tools";
    const button = (text, title, act) => {
      const b = document.createElement("button");
      b.type = "button";
      b.textContent = text;
      b.title = title;
      b.addEventListener("click", act);
      tools.append(b);
    };
    button("Enlarge", "Show the figure large; the wheel zooms", () => enlarge(figure, svg));
    if (figure.data.map || figure.data.series.length)
      button("CSV", "Download the data of this figure", () => ready.then(() => download(`${element.id}.csv`, csv(figure))));
    element.append(tools);
  }
})();
