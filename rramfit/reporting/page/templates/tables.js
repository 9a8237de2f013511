// Tables of class "sortable": click on a heading to sort, type to filter. Of a long table, the first
// rows are shown, and all on request: a page with thousands of rows opens at once.
// A cell sorts by its number and unit prefix, if it has one, else as text; empty cells come last.
(() => {
  const PREFIX = { p: 1e-12, n: 1e-9, u: 1e-6, "\u00b5": 1e-6, "\u03bc": 1e-6, m: 1e-3, k: 1e3, M: 1e6, G: 1e9 };
  const ORDER = { ok: 0, warning: 1, refused: 2, bad: 3, failed: 4 };
  const MOST = 300;
  const value = (text) => {
    if (text in ORDER) return ORDER[text];
    const found = /^([-\u2212+]?[\d.,]+(?:e[-+]?\d+)?)\s*([pnu\u00b5\u03bcmkMG](?=[A-Za-z\u2126\u03a9]))?/.exec(text);
    return found ? Number(found[1].replace(/,/g, "").replace("\u2212", "-")) * (PREFIX[found[2]] ?? 1) : NaN;
  };
  const compare = (a, b) => {
    if (!a.text || !b.text) return a.text ? -1 : b.text ? 1 : 0;
    return a.number - b.number || a.text.localeCompare(b.text, "en", { numeric: true });
  };
  for (const box of document.querySelectorAll(".scroll.sortable")) {
    const body = box.querySelector("tbody"), rows = [...body.rows], texts = new Map();
    const bar = document.createElement("p"), input = document.createElement("input"), count = document.createElement("span");
    const all = document.createElement("button");
    let most = MOST;
    bar.className = "filter";
    input.type = "search";
    input.placeholder = "Filter rows";
    input.setAttribute("aria-label", `Filter: ${box.getAttribute("aria-label")}`);
    count.setAttribute("role", "status");
    all.type = "button";
    bar.append(input, count, all);
    if (box.dataset.choice) bar.dataset.choice = box.dataset.choice;
    box.before(bar);
    const textOf = (row) => {
      if (!texts.has(row)) texts.set(row, [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase());
      return texts.get(row);
    };
    const show = () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      const found = words.length ? rows.filter((row) => words.every((word) => textOf(row).includes(word))) : rows;
      const shown = found.slice(0, most);
      if (shown.length !== body.rows.length || shown.some((row, i) => row !== body.rows[i])) body.replaceChildren(...shown);
      count.textContent = `${found.length} of ${rows.length} rows` + (shown.length < found.length ? `, the first ${shown.length} shown` : "");
      all.hidden = shown.length === found.length;
      all.textContent = `Show all ${found.length}`;
    };
    input.addEventListener("input", show);
    all.addEventListener("click", () => { most = Infinity; show(); });
    if (rows.length > MOST) body.replaceChildren(...rows.slice(0, MOST));
    show();
    box.classList.add("ready");
    [...box.querySelectorAll("thead th")].forEach((heading, column, headings) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => {
        const down = heading.getAttribute("aria-sort") === "ascending";
        for (const other of headings) other.removeAttribute("aria-sort");
        heading.setAttribute("aria-sort", down ? "descending" : "ascending");
        const keyed = rows.map((row) => {
          const text = row.cells[column].textContent.trim(), number = value(text);
          return { row, text, number: Number.isNaN(number) ? 0 : number };
        });
        keyed.sort((a, b) => (down && a.text && b.text ? compare(b, a) : compare(a, b)));
        rows.splice(0, rows.length, ...keyed.map((x) => x.row));
        show();
      });
    });
  }
})();
