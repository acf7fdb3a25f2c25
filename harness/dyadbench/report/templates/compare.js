// Shows one pair of methods; what is chosen lives in the address after #.
(() => {
  "use strict";
  const view = JSON.parse(document.getElementById("pairs").textContent);
  const NOT_JUDGED = "not judged"; // nobody knows which way is better
  const number = (of, noun) => `${of} ${noun}${of === 1 ? "" : "s"}`;
  const form = document.getElementById("choose");
  const [on, a, b] = ["on", "a", "b"].map((name) => form.elements[name]);
  const cell = (text, style) => {
    const made = document.createElement(style === "head" ? "th" : "td");
    if (style === "head") made.scope = "row";
    else if (style) made.className = style;
    made.append(text);
    return made;
  };

  function fill(first, second) {
    for (const [field, wanted, fallback] of [[a, first, 0], [b, second, 1]]) {
      field.replaceChildren(...view.methods.map((name) => new Option(name)));
      field.value = view.methods.includes(wanted) ? wanted : view.methods[Math.min(fallback, view.methods.length - 1)];
    }
  }

  function gap(difference, low, high, reach) {
    const box = document.createElement("span");
    box.className = "gap";
    box.setAttribute("aria-hidden", "true");
    const place = (x) => 50 + 48 * (x / reach);
    const part = (tag, left, width) => {
      const made = document.createElement(tag);
      made.style.left = `${left}%`;
      if (width !== undefined) made.style.width = `${width}%`;
      box.append(made);
    };
    part("u", 50);
    if (low !== null && high !== null) part("i", place(low), Math.max(place(high) - place(low), 0.8));
    part("b", place(difference));
    return box;
  }

  // What a metric is, opened as in the tables of a benchmark.
  function what(column) {
    const mark = document.createElement("span"), tip = document.createElement("span");
    mark.className = "term q";
    mark.tabIndex = 0;
    mark.setAttribute("aria-label", `what ${column.id} is`);
    tip.className = "tip";
    tip.setAttribute("role", "note");
    tip.textContent = column.says + (column.fails ? ` † Fails on these data: ${column.fails}.` : "");
    mark.append("?", tip);
    return mark;
  }

  function watch(names, clip, text, style = "") {
    const link = document.createElement("a");
    link.href = `${view.page}#${new URLSearchParams([["watch", "1"], ["clip", clip], ...names.map((name, n) => [`m${n + 1}`, name])])}`;
    link.className = style;
    link.textContent = text;
    return link;
  }

  function faces() {
    const link = document.createElement("a");
    link.href = `${view.page}#faces`;
    link.textContent = "whose faces are kept, and why not all";
    return link;
  }

  function show() {
    const [i, j] = [view.methods.indexOf(a.value), view.methods.indexOf(b.value)];
    const key = i < j ? `${i}-${j}` : `${j}-${i}`, sign = i < j ? 1 : -1;
    const rows = document.getElementById("differences"), most = document.getElementById("extremes");
    rows.replaceChildren();
    most.replaceChildren();
    document.getElementById("simulated").hidden = !view.simulated;
    document.getElementById("head-a").textContent = a.value;
    document.getElementById("head-b").textContent = b.value;
    const said = document.getElementById("said");
    if (i === j) { said.textContent = "Choose two different methods."; return; }
    const once = [a.value, b.value].filter((name) => view.once.includes(name));
    const seen = [a.value, b.value].filter((name) => view.watch.includes(name));
    const counts = { "A is better": 0, "B is better": 0, undecided: 0 };
    view.columns.forEach((column, c) => {
      const text = (x) => (x === null ? "n/a" : x.toFixed(column.digits).replace(/^-(0\.?0*)$/, "$1"));
      let [difference, low, high, ...shared] = view.pairs[key][c];
      if (!shared.length) shared = [view.points[Math.min(i, j)][c], view.points[Math.max(i, j)][c]];
      if (sign < 0) shared.reverse();
      if (once.length) low = high = null; // one seed: nothing says how another would do
      if (sign < 0) [difference, low, high] = [difference, high, low].map((x) => (x === null ? null : -x));
      const row = document.createElement("tr");
      const good = !column.judged ? NOT_JUDGED : { max: "more", min: "less", match: column.target === null ? "no target" : `near ${text(column.target)}` }[column.direction];
      const values = [cell(good, "text"), ...shared.map((value) => cell(text(value)))];
      const name = cell(column.id.replaceAll(".", ".\u200b") + (column.fails ? " †" : ""), "head");
      name.append(what(column));
      if (difference === null) row.append(name, cell("undefined for one of them", "text"), ...values, cell("undefined"), cell(""));
      else {
        const reach = Math.max(...[difference, low, high].map((x) => Math.abs(x ?? 0)), 1e-12);
        const side = view.verdicts[key][c];
        const verdict = once.length ? "one seed" : column.fails ? "fails here" : !column.judged ? NOT_JUDGED : side === null ? "no interval" : side === 0 ? "undecided" : side * sign > 0 ? "A is better" : "B is better";
        counts[verdict] = (counts[verdict] ?? 0) + 1;
        const span = low === null ? "" : ` [${text(low)}, ${text(high)}]`;
        const told = cell(verdict, "text");
        told.classList.add("verdict", { "A is better": "side-a", "B is better": "side-b" }[verdict] ?? "undecided");
        row.append(name, told, ...values, cell(text(difference) + span), cell(gap(difference, low, high, reach), "text"));
      }
      rows.append(row);
      const clips = view.most[key][c] ?? [];
      if (clips.length) {
        const title = document.createElement("h3"), list = document.createElement("ul");
        title.textContent = column.id;
        for (const [n, x] of clips) {
          const item = document.createElement("li");
          const name = view.clips[n];
          item.append(view.seen.includes(name) && seen.length ? watch(seen, name, name) : name, `: ${x * sign > 0 ? "+" : ""}${x * sign}`);
          list.append(item);
        }
        most.append(title, list);
      }
    });
    said.textContent = `${a.value} minus ${b.value} on ${number(view.clips.length, "clip")} of ${number(view.sessions, "session")}${view.simulated ? " of simulated people" : ""}: `
      + (once.length ? `${once.join(" and ")} ${once.length > 1 ? "are" : "is"} random and ran with one seed; another may differ, so nothing is decided.`
      : `${a.value} is better in ${number(counts["A is better"], "metric")}, ${b.value} in ${counts["B is better"]}, ${counts.undecided} ${counts.undecided === 1 ? "is" : "are"} undecided.`);
    const links = document.getElementById("watch");
    links.replaceChildren(...(seen.length ? view.seen : []).map((clip, n) => watch(seen, clip, `Watch ${seen.join(" and ")}, clip ${n + 1}`, "button")));
    if (!links.childElementCount) links.append("Neither can be watched: ", faces());
  }

  function read() {
    const wanted = new URLSearchParams(location.hash.slice(1));
    fill(wanted.get("a"), wanted.get("b"));
    show();
  }

  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", (event) => {
    const wanted = "#" + new URLSearchParams({ a: a.value, b: b.value });
    if (event.target === on) { location.href = on.value + wanted; return; }
    history.replaceState(null, "", wanted);
    show();
  });
  addEventListener("hashchange", read);
  read();
})();
