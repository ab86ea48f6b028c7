"use strict";
/* Rows that filters show and hide; steps that say their reasons. Texts are copied as texts, never read as markup. */
(() => {
  for (const panel of document.querySelectorAll("[data-filters]")) {
    const rows = [...document.querySelectorAll(`#${panel.dataset.filters} tbody tr`)];
    const boxes = [...panel.querySelectorAll("input[type=checkbox]")];
    const search = panel.querySelector("input[type=search]");
    const count = panel.querySelector("output");
    const texts = rows.map((row) => row.textContent.toLowerCase());
    const attributes = [...new Set(boxes.map((box) => box.dataset.attribute))];
    const update = () => {
      const wanted = attributes.map((attribute) => [attribute, new Set(boxes
        .filter((box) => box.dataset.attribute === attribute && box.checked).map((box) => box.value))]);
      const words = search.value.toLowerCase();
      let shown = 0;
      rows.forEach((row, index) => {
        const fits = wanted.every(([attribute, values]) => values.has(row.dataset[attribute]));
        row.hidden = !(fits && texts[index].includes(words));
        shown += row.hidden ? 0 : 1;
      });
      count.textContent = `${shown} of ${rows.length} ${count.dataset.noun}`;
    };
    panel.hidden = false;
    panel.addEventListener("input", update);
    update();
  }

  const reveal = () => {
    const row = location.hash && document.getElementById(location.hash.slice(1));
    if (row) {
      row.hidden = false;
      const folded = row.closest("details");
      if (folded) folded.open = true;
      row.focus();
    }
  };
  addEventListener("hashchange", reveal);
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => { part.open = true; }));

  const said = document.querySelector("[data-said]"); // there if there are steps
  const steps = [...document.querySelectorAll("svg.graph a.step")];
  const say = (step) => {
    const [first, ...rest] = step.querySelector("title").textContent.split("\n");
    const heading = document.createElement("p");
    const strong = document.createElement("strong");
    strong.textContent = first;
    heading.append(strong);
    const list = document.createElement("ul");
    for (const reason of rest.length ? rest : ["every rule that counts is met"]) {
      const item = document.createElement("li");
      item.textContent = reason;
      list.append(item);
    }
    said.replaceChildren(heading, list);
  };
  const ordered = [...steps].sort((a, b) => {
    const [left, right] = [a, b].map((step) => document.getElementById(step.getAttribute("href").slice(1)));
    return left.compareDocumentPosition(right) & Node.DOCUMENT_POSITION_FOLLOWING ? -1 : 1;
  });
  const moves = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
  ordered.forEach((step, index) => {
    step.setAttribute("tabindex", index ? "-1" : "0");
    step.addEventListener("pointerenter", () => say(step));
    step.addEventListener("focus", () => say(step));
    step.addEventListener("click", (event) => {
      if (location.hash === step.getAttribute("href")) {
        event.preventDefault();
        reveal();
      }
    });
    step.addEventListener("keydown", (event) => {
      const next = moves[event.key] && ordered[(index + moves[event.key] + ordered.length) % ordered.length];
      if (next) {
        event.preventDefault();
        step.setAttribute("tabindex", "-1");
        next.setAttribute("tabindex", "0");
        next.focus();
      }
    });
  });

  const start = document.querySelector("svg.graph .running");
  const box = start && start.closest(".scroll");
  if (box && start.getBoundingClientRect().right > box.getBoundingClientRect().right) {
    box.scrollLeft += start.getBoundingClientRect().left - box.getBoundingClientRect().left - 60;
  }
  reveal();
})();
