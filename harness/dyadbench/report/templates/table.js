// Sorting, filtering and choosing columns. All of it lives in the address after #, so that a link shows the same view.
(() => {
  "use strict";
  const state = () => new URLSearchParams(location.hash.slice(1));
  const tables = [...document.querySelectorAll("table[data-sortable]")];

  function put(change) {
    const wanted = state();
    for (const [name, value] of Object.entries(change)) {
      if (value === "" || value === null) wanted.delete(name);
      else wanted.set(name, value);
    }
    history.replaceState(null, "", "#" + wanted);
    show();
  }

  for (const table of tables) {
    for (const head of table.tHead.rows[0].cells) {
      const button = head.querySelector("button");
      if (!button) continue;
      button.addEventListener("click", () => {
        const name = head.dataset.column;
        put({ sort: state().get("sort") === name ? "-" + name : name });
      });
    }
  }

  // Cells carry what is lost: less is better, so that the first click puts the best row first in every column.
  function sort(table, wanted) {
    const back = wanted.startsWith("-"), name = back ? wanted.slice(1) : wanted;
    const heads = [...table.tHead.rows[0].cells];
    const place = heads.findIndex((head) => head.dataset.column === name);
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    if (place < 0) return;
    heads[place].setAttribute("aria-sort", back ? "descending" : "ascending");
    const text = heads[place].dataset.kind === "text", sign = back ? -1 : 1;
    const key = (row) => row.cells[place].dataset.sort ?? "";
    for (const body of table.tBodies) {
      const rows = [...body.querySelectorAll("tr[data-row]")];
      rows.sort((a, b) => {
        const [x, y] = [key(a), key(b)];
        if (text) return sign * x.localeCompare(y);
        if (x === "" || y === "") return (x === "") - (y === ""); // what has no value stays last
        return sign * (Number(x) - Number(y));
      });
      rows.forEach((row) => body.append(row));
    }
  }

  // Which columns are shown: `cols` in the address says which differ from the usual eight.
  const choosers = [...document.querySelectorAll(".chooser")].map((box) => ({
    box, main: !box.closest("details.suite"), ticks: [...box.querySelectorAll("input")],
    tables: [...box.closest("section").querySelectorAll("table[data-sortable]")],
  }));
  const usual = new Map(choosers.flatMap(({ ticks }) => ticks.map((tick) => [tick, tick.checked])));

  function columns({ ticks, tables: mine }, changed) {
    for (const tick of ticks) tick.checked = usual.get(tick) !== changed.has(tick.value);
    const on = new Map(ticks.map((tick) => [tick.value, tick.checked]));
    for (const table of mine) {
      const heads = [...table.tHead.rows[0].cells];
      const hidden = heads.map((head) => {
        const name = head.dataset.column ?? head.textContent.trim();
        return on.has(name) ? !on.get(name) : head.classList.contains("more");
      });
      for (const row of table.rows) [...row.cells].forEach((cell, i) => cell.classList.toggle("gone", hidden[i]));
    }
  }

  for (const chooser of choosers) {
    const apply = () => {
      const others = choosers.filter((one) => one !== chooser).flatMap((one) => one.ticks.filter((t) => t.checked !== usual.get(t)));
      const mine = chooser.ticks.filter((tick) => tick.checked !== usual.get(tick));
      put({ cols: [...new Set([...mine, ...others].map((tick) => tick.value))].join(",") });
    };
    chooser.box.addEventListener("change", apply);
    chooser.box.querySelector("[data-all]").addEventListener("click", () => { chooser.ticks.forEach((tick) => { tick.checked = true; }); apply(); });
    chooser.box.querySelector("[data-few]").addEventListener("click", () => { chooser.ticks.forEach((tick) => { tick.checked = usual.get(tick); }); apply(); });
  }

  const form = document.querySelector("form.filters");
  const fields = form ? [...form.querySelectorAll("select")] : [];

  function filter(wanted) {
    fields.forEach((field) => { field.value = wanted.get(field.name) ?? ""; });
    const is = (name, value) => !wanted.get(name) || wanted.get(name) === value;
    let count = 0;
    for (const card of document.querySelectorAll("[data-card]")) {
      card.hidden = !(is("track", card.dataset.track ?? wanted.get("track")) && is("data", card.dataset.data ?? wanted.get("data")));
      for (const row of card.querySelectorAll("tr[data-kind]")) {
        const method = row.dataset.kind === "method" || row.dataset.kind === "ablation";
        row.hidden = method && (!is("trained", row.dataset.trained) || (row.dataset.kind === "ablation" && wanted.get("ablations") === "no"));
      }
      if (!card.hidden) count += card.hasAttribute("data-data") ? 1 : 0;
    }
    const said = form?.querySelector("[data-count]");
    const first = form?.closest("section")?.querySelector("table[data-sortable]");
    const number = (of, noun) => `${of} ${noun}${of === 1 ? "" : "s"}`;
    if (said && first) said.textContent = number(first.querySelectorAll("tr[data-row]:not([hidden])").length, "method");
    else if (said) said.textContent = number(count, "benchmark");
  }

  function show() {
    const wanted = state();
    const changed = new Set((wanted.get("cols") ?? "").split(",").filter(Boolean));
    if (wanted.get("sort")) tables.forEach((table) => sort(table, wanted.get("sort")));
    choosers.forEach((chooser) => columns(chooser, changed));
    if (form) filter(wanted);
  }

  if (form) {
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("change", () => put(Object.fromEntries(fields.map((field) => [field.name, field.value]))));
  }
  addEventListener("hashchange", show);
  show();
})();
