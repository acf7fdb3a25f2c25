// Shows the claims of one verdict; which one lives in the address after #. A link to one claim shows all.
(() => {
  "use strict";
  const form = document.getElementById("verdicts");
  if (!form) return;
  const field = form.elements.verdict;
  function show() {
    field.value = new URLSearchParams(location.hash.slice(1)).get("verdict") ?? "";
    let count = 0;
    for (const one of document.querySelectorAll("article[data-verdict]")) {
      one.hidden = field.value !== "" && one.dataset.verdict !== field.value;
      count += one.hidden ? 0 : 1;
    }
    for (const more of document.querySelectorAll("details.untested")) if (field.value === "untested" || more.querySelector(":target")) more.open = true;
    for (const paper of document.querySelectorAll("section.paper")) paper.hidden = !paper.querySelector("article:not([hidden])");
    document.getElementById("shown").textContent = `${count} claim${count === 1 ? "" : "s"}`;
  }
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", () => {
    history.replaceState(null, "", "#" + (field.value ? new URLSearchParams({ verdict: field.value }) : ""));
    show();
  });
  addEventListener("hashchange", show);
  show();
})();
