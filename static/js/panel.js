// A panel opens in front of its page, in #panel-place, and another takes its place. Escape and Back close it and give
// the focus back to what opened it; what is typed keeps it open.

import { isTyped } from "./live-parts.js";

let opener = "";

function place() {
  return document.getElementById("panel-place");
}

function isWritten(panel) {
  return [...panel.querySelectorAll("input:not([type=hidden]), select, textarea")].some(isTyped);
}

function giveFocusBack() {
  (document.getElementById(opener) ?? document.getElementById("main")).focus();
}

function close() {
  place().replaceChildren();
  giveFocusBack();
}

document.addEventListener("htmx:beforeRequest", ({ detail }) => {
  if (detail.target === place()) opener = detail.elt.id;
});

document.addEventListener("htmx:afterSettle", ({ detail }) => {
  if (detail.target === place()) place().querySelector("#panel")?.focus();
});

document.addEventListener("keydown", (event) => {
  const panel = place()?.firstElementChild;
  if (event.key !== "Escape" || event.isComposing || !panel || isWritten(place())) return;
  if (!document.querySelector("dialog[open], details.menu[open]")) close();
});

document.addEventListener("click", (event) => {
  const back = event.target.closest?.("[data-panel-close]");
  if (!back || !place()?.contains(back)) return;
  event.preventDefault();
  close();
});

// The act is done and the page is already where it leads: the panel has gone, and the parts fetch themselves anew.
document.addEventListener("acted", () => {
  giveFocusBack();
  for (const part of document.querySelectorAll("[data-live-topic]")) window.htmx.trigger(part, "live");
});
