"use strict";
for (const finder of document.querySelectorAll(".finder")) {
  const table = document.getElementById(finder.dataset.for);
  const rows = [...table.tBodies[0].rows];
  const [find] = finder.getElementsByTagName("input");
  const [show] = finder.getElementsByTagName("select");
  const status = finder.querySelector("[role=status]");
  const apply = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      const kinds = (row.dataset.kind || "").split(" ");
      row.hidden = !words.every((word) => text.includes(word)) ||
        (show.value !== "" && !kinds.includes(show.value));
      shown += row.hidden ? 0 : 1;
    }
    status.textContent = shown === rows.length ? "" : `${shown} of ${rows.length} shown`;
  };
  find.addEventListener("input", apply);
  show.addEventListener("change", apply);
  finder.hidden = false;
}
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  [...table.tHead.rows[0].cells].forEach((cell, place) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...cell.childNodes);
    cell.append(button);
    button.addEventListener("click", () => {
      const down = cell.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => {
        const own = row.cells[place];
        const text = own.dataset.value ?? own.textContent.trim();
        return text !== "" && !isNaN(text) ? Number(text) : text;
      };
      const order = (a, b) => {
        const [x, y] = [key(a), key(b)];
        if (typeof x === typeof y) return x < y ? -1 : x > y ? 1 : 0;
        return typeof x === "number" ? -1 : 1;
      };
      body.append(...[...body.rows].sort((a, b) => (down ? -order(a, b) : order(a, b))));
    });
  });
}
