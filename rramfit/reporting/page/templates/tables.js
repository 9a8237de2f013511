// Tables of class "sortable": click on a heading to sort, type to filter.
// A cell sorts by its number and unit prefix, if it has one, else as text; empty cells come last.
(() => {
  const PREFIX = { p: 1e-12, n: 1e-9, u: 1e-6, "\u00b5": 1e-6, "\u03bc": 1e-6, m: 1e-3, k: 1e3, M: 1e6, G: 1e9 };
  const ORDER = { ok: 0, warning: 1, refused: 2, bad: 3, failed: 4 };
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
    const body = box.querySelector("tbody"), rows = [...body.rows];
    const bar = document.createElement("p"), input = document.createElement("input"), count = document.createElement("span");
    bar.className = "filter";
    input.type = "search";
    input.placeholder = "Filter rows";
    input.setAttribute("aria-label", `Filter: ${box.getAttribute("aria-label")}`);
    count.setAttribute("role", "status");
    bar.append(input, count);
    box.before(bar);
    const texts = rows.map((row) => row.textContent.toLowerCase());
    const filter = () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      rows.forEach((row, i) => {
        const fits = words.every((word) => texts[i].includes(word));
        row.hidden = !fits;
        shown += fits;
      });
      count.textContent = `${shown} of ${rows.length} rows`;
    };
    input.addEventListener("input", filter);
    filter();
    [...box.querySelectorAll("thead th")].forEach((heading, column, all) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => {
        const down = heading.getAttribute("aria-sort") === "ascending";
        for (const other of all) other.removeAttribute("aria-sort");
        heading.setAttribute("aria-sort", down ? "descending" : "ascending");
        const keyed = rows.map((row) => {
          const text = row.cells[column].textContent.trim(), number = value(text);
          return { row, text, number: Number.isNaN(number) ? 0 : number };
        });
        keyed.sort((a, b) => (down && a.text && b.text ? compare(b, a) : compare(a, b)));
        body.append(...keyed.map((x) => x.row));
      });
    });
  }
})();
