"use strict";
// Filters and pages of examples. Without this script all examples are shown.
for (const block of document.querySelectorAll(".examples")) {
  const list = block.querySelector(".items");
  if (!list) continue;
  const items = [...list.children].map((element) => ({
    element,
    choices: element.dataset.choices.split(" "),
    text: [...element.querySelectorAll("dd")].map((value) => value.textContent).join("\n").normalize("NFKC").toLowerCase(),
  }));
  const selects = [...block.querySelectorAll("select")];
  const search = block.querySelector("input");
  const [previous, next] = block.querySelectorAll("button");
  const status = block.querySelector("[role=status]");
  const size = Number(block.dataset.pageSize);
  let page = 0;

  const show = () => {
    const wanted = search.value.normalize("NFKC").toLowerCase().trim();
    const found = items.filter(({ choices, text }) =>
      selects.every((select, index) => !select.value || choices[index] === select.value) && text.includes(wanted));
    const last = Math.max(0, Math.ceil(found.length / size) - 1);
    page = Math.min(Math.max(page, 0), last);
    const shown = new Set(found.slice(page * size, (page + 1) * size));
    for (const item of items) item.element.hidden = !shown.has(item);
    list.start = page * size + 1;
    // Not `disabled`, which would take the keyboard's focus away on the last page.
    previous.setAttribute("aria-disabled", page === 0);
    next.setAttribute("aria-disabled", page === last);
    status.textContent = found.length
      ? `showing ${page * size + 1}–${page * size + shown.size} of ${found.length}`
      : "nothing found";
  };
  const restart = () => { page = 0; show(); };
  for (const select of selects) select.addEventListener("change", restart);
  search.addEventListener("input", restart);
  for (const button of [previous, next]) {
    button.addEventListener("click", () => { page += Number(button.dataset.step); show(); });
  }
  block.querySelector(".controls").hidden = false;
  block.querySelector(".pager").hidden = false;
  block.classList.add("scripted");
  show();
}
