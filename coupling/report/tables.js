"use strict";
/* The table of all prosumers: search, order, choice. */
(() => {
  const table = document.getElementById("people");
  if (!table) return;
  const body = table.tBodies[0], rows = [...body.rows], heads = [...table.tHead.rows[0].cells];
  document.getElementById("search").addEventListener("input", ({ target }) => {
    const wanted = target.value.trim().toLowerCase();
    rows.forEach((row) => { row.hidden = !row.cells[0].textContent.toLowerCase().includes(wanted); });
  });
  const key = (row, column) => row.cells[column].dataset.key === undefined ? row.cells[column].textContent : Number(row.cells[column].dataset.key);
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    /* Names first ascending, numbers first descending: the largest is what one looks for. */
    const before = head.getAttribute("aria-sort"), up = before ? before === "descending" : column < 2;
    heads.forEach((one) => one.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const order = (one, other) => (key(one, column) < key(other, column) ? -1 : key(one, column) > key(other, column) ? 1 : 0);
    body.append(...rows.sort((one, other) => (up ? 1 : -1) * order(one, other)));
  }));
  body.addEventListener("click", ({ target }) => {
    const row = target.closest("tr");
    if (row) page.choose(Number(row.querySelector("[data-place]").dataset.place), true);
  });
  page.markRow = (place) => rows.forEach((row) => row.toggleAttribute("aria-current", row.querySelector("[data-place]").dataset.place === String(place)));
  const text = (row) => [...row.cells].map((cell) => { const shown = cell.textContent.trim(); return shown === "–" ? "" : shown; });
  page.downloads.people = () => page.kit.rows([text(table.tHead.rows[0]), ...rows.map(text)]);
})();
