// Sorting and filtering. The filter lives in the address after #, and links marked data-carry take it along.
(() => {
  "use strict";
  const state = () => new URLSearchParams(location.hash.slice(1));

  for (const table of document.querySelectorAll("table[data-sortable]")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, place) => {
      const button = head.querySelector("button");
      if (!button) return;
      button.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        for (const body of table.tBodies) sort(body, place, head.dataset.kind === "text", up ? 1 : -1);
      });
    });
  }

  function sort(body, place, text, sign) {
    const rows = [...body.querySelectorAll("tr[data-row]")];
    const key = (row) => row.cells[place].dataset.sort ?? "";
    rows.sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      if (text) return sign * x.localeCompare(y);
      if (x === "" || y === "") return (x === "") - (y === ""); // what has no value stays last
      return sign * (Number(x) - Number(y));
    });
    rows.forEach((row) => body.append(row));
  }

  const form = document.querySelector("form.filters");
  if (!form) return;
  const fields = [...form.querySelectorAll("select")];

  function show() {
    const wanted = state();
    fields.forEach((field) => { field.value = wanted.get(field.name) ?? ""; });
    const is = (name, value) => !wanted.get(name) || wanted.get(name) === value;
    let count = 0;
    for (const card of document.querySelectorAll("[data-card]")) {
      card.hidden = !(is("track", card.dataset.track ?? wanted.get("track")) && is("data", card.dataset.data ?? wanted.get("data")));
      for (const row of card.querySelectorAll("tr[data-kind]")) {
        const calibration = row.dataset.kind === "calibration";
        const trained = !row.dataset.trained || is("trained", row.dataset.trained);
        row.hidden = !trained || (calibration && wanted.get("calibration") === "no");
        if (!row.hidden && !card.hidden && row.hasAttribute("data-row")) count += 1;
      }
    }
    const said = form.querySelector("[data-count]");
    if (said) said.textContent = `${count} rows`;
    for (const link of document.querySelectorAll("a[data-carry]")) {
      link.href = link.getAttribute("href").split("#")[0] + (location.hash.length > 1 ? location.hash : "");
    }
  }

  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", () => {
    const wanted = new URLSearchParams();
    for (const [name, value] of state()) if (!fields.some((field) => field.name === name)) wanted.set(name, value);
    fields.forEach((field) => { if (field.value) wanted.set(field.name, field.value); });
    location.replace("#" + wanted);
    show();
  });
  addEventListener("hashchange", show);
  show();
})();
