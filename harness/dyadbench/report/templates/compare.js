// Shows one pair of methods; what is chosen lives in the address after #.
(() => {
  "use strict";
  const views = JSON.parse(document.getElementById("pairs").textContent);
  const form = document.getElementById("choose");
  const [on, a, b] = ["on", "a", "b"].map((name) => form.elements[name]);
  const cell = (text, style) => {
    const made = document.createElement(style === "head" ? "th" : "td");
    if (style === "head") made.scope = "row";
    else if (style) made.className = style;
    made.append(text);
    return made;
  };

  function fill(view, first, second) {
    for (const [field, wanted, fallback] of [[a, first, 0], [b, second, 1]]) {
      field.replaceChildren(...view.order.map((name) => new Option(name)));
      field.value = view.order.includes(wanted) ? wanted : view.order[Math.min(fallback, view.order.length - 1)];
    }
  }

  function reading(column, low, high) {
    if (low === null || high === null) return "no interval";
    if (low <= 0 && high >= 0) return "undecided: the interval holds 0";
    if (column.direction === "match") return low > 0 ? "A is higher" : "B is higher";
    return (low > 0) === (column.direction === "max") ? "A is better" : "B is better";
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

  function show() {
    const view = views.find((one) => one.benchmark === on.value);
    const [i, j] = [view.methods.indexOf(a.value), view.methods.indexOf(b.value)];
    const key = i < j ? `${i}-${j}` : `${j}-${i}`, sign = i < j ? 1 : -1;
    const rows = document.getElementById("differences"), most = document.getElementById("extremes");
    rows.replaceChildren();
    most.replaceChildren();
    const said = document.getElementById("said");
    if (i === j) { said.textContent = "Choose two different methods."; return; }
    said.textContent = `${a.value} minus ${b.value} on ${view.clips.length} clips of ${view.sessions} sessions.`;
    view.columns.forEach((column, c) => {
      const show = (x) => (x === null ? "n/a" : x.toFixed(column.digits));
      let [difference, low, high] = view.pairs[key][c];
      if (sign < 0) [difference, low, high] = [difference, high, low].map((x) => (x === null ? null : -x));
      const row = document.createElement("tr");
      row.append(cell(column.id.replaceAll(".", ".\u200b"), "head"), cell(show(view.points[i][c])), cell(show(view.points[j][c])), cell(show(difference)));
      if (difference === null) row.append(cell("undefined"), cell(""), cell("undefined for one of them", "text"));
      else {
        const reach = Math.max(...[difference, low, high].map((x) => Math.abs(x ?? 0)), 1e-12);
        row.append(cell(low === null ? "" : `${show(low)} to ${show(high)}`), cell(gap(difference, low, high, reach), "text"), cell(reading(column, low, high), "text"));
      }
      rows.append(row);
      const clips = view.most[key][c];
      if (clips.length) {
        const title = document.createElement("h3"), list = document.createElement("ul");
        title.textContent = column.id;
        for (const [n, x] of clips) {
          const item = document.createElement("li");
          item.textContent = `${view.clips[n]}: ${x * sign > 0 ? "+" : ""}${x * sign}`;
          list.append(item);
        }
        most.append(title, list);
      }
    });
  }

  function read() {
    const wanted = new URLSearchParams(location.hash.slice(1));
    const known = views.map((view) => view.benchmark);
    on.value = known.includes(wanted.get("on")) ? wanted.get("on") : known[0];
    fill(views.find((view) => view.benchmark === on.value), wanted.get("a"), wanted.get("b"));
    show();
  }

  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", (event) => {
    if (event.target === on) fill(views.find((view) => view.benchmark === on.value), a.value, b.value);
    location.replace("#" + new URLSearchParams({ on: on.value, a: a.value, b: b.value }));
    show();
  });
  addEventListener("hashchange", read);
  read();
})();
