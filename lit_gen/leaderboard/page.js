"use strict";

// Sorting: a click sorts better first (data-first), the next one the other way; what is missing stays last.
for (const table of document.querySelectorAll("table.board")) {
  const body = table.tBodies[0];
  const headers = [...table.tHead.rows[0].cells];
  headers.forEach((header, column) => {
    header.querySelector("button").addEventListener("click", () => {
      const now = header.getAttribute("aria-sort");
      const first = header.dataset.first;
      const other = first === "ascending" ? "descending" : "ascending";
      const wanted = now === first ? other : first;
      const sign = wanted === "ascending" ? 1 : -1;
      const key = (row) => row.cells[column].dataset.sort;
      const compare = (a, b) => {
        const left = key(a), right = key(b);
        if (left === undefined || right === undefined) {
          return (left === undefined) - (right === undefined);
        }
        const numbers = header.classList.contains("number");
        return sign * (numbers ? Number(left) - Number(right) : left.localeCompare(right, "en", { numeric: true }));
      };
      // The runs of a group follow its row.
      const groups = new Map();
      for (const row of body.rows) {
        if (!row.classList.contains("member")) groups.set(row, []);
        else [...groups.values()].at(-1).push(row);
      }
      body.append(...[...groups.keys()].sort(compare).flatMap((row) => [row, ...groups.get(row)]));
      headers.forEach((h) => h.removeAttribute("aria-sort"));
      header.setAttribute("aria-sort", wanted);
    });
  });
}

// Runs that differ in their seed alone are folded into their row.
for (const opener of document.querySelectorAll("button.opener")) {
  const toggle = () => {
    const open = opener.getAttribute("aria-expanded") !== "true";
    opener.setAttribute("aria-expanded", String(open));
    opener.textContent = open ? "\u25be" : "\u25b8";
    let row = opener.closest("tr").nextElementSibling;
    for (; row && row.classList.contains("member"); row = row.nextElementSibling) row.hidden = !open;
  };
  opener.addEventListener("click", toggle);
  toggle();
}

// Choosing what is plotted: every drawing is on the page, one of them is shown.
for (const plot of document.querySelectorAll(".plot")) {
  const [quality, cost] = plot.querySelectorAll("select");
  const show = () => {
    for (const figure of plot.querySelectorAll("figure")) {
      figure.hidden = figure.dataset.quality !== quality.value || figure.dataset.cost !== cost.value;
    }
  };
  quality.addEventListener("change", show);
  cost.addEventListener("change", show);
}

// Enlarging a sample grid.
const dialog = document.querySelector("dialog");
for (const button of document.querySelectorAll("button.grid")) {
  button.addEventListener("click", () => {
    const image = button.querySelector("img");
    dialog.querySelector("img").src = image.src;
    dialog.querySelector("img").alt = image.alt;
    dialog.querySelector("p").textContent = image.alt;
    dialog.showModal();
  });
}
dialog.addEventListener("click", () => dialog.close());
