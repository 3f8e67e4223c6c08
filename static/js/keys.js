// Keys that lead somewhere, never keys that decide: j k rows, / search, ? help, g then i b r pages, a decision.

import { remember, recall } from "./cookies.js";

const CHORD_MS = 1200;

function off() {
  return (recall("keys") || document.body.dataset.keys) === "off";
}
let chordUntil = 0;

function writing(target) {
  return target.closest?.("input, select, textarea, [contenteditable]") !== null || target.isContentEditable;
}

function rows() {
  return [...document.querySelectorAll("[data-row]")].filter((row) => row.offsetParent !== null);
}

function link(row) {
  return row.matches("a, button") ? row : row.querySelector("a, button");
}

function step(by) {
  const all = rows();
  if (!all.length) return;
  const here = all.findIndex((row) => row.contains(document.activeElement));
  const there = here < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, here + by));
  link(all[there])?.focus();
}

function focusHeading(selector) {
  const heading = document.querySelector(selector);
  if (!heading) return;
  if (!heading.matches("a, button, input, textarea, select")) heading.tabIndex = -1;
  heading.focus();
}

function help() {
  document.getElementById("help")?.showModal();
}

function follow(letter) {
  document.querySelector(`[data-go="${CSS.escape(letter)}"]`)?.click();
}

const ACTIONS = {
  j: () => step(1),
  k: () => step(-1),
  "/": () => document.getElementById("search")?.focus(),
  "?": help,
  a: () => focusHeading("[data-decision]"),
  g: () => { chordUntil = performance.now() + CHORD_MS; },
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (writing(event.target) || document.querySelector("dialog[open]") || off()) return;
  if (performance.now() < chordUntil && "ibr".includes(event.key)) {
    chordUntil = 0;
    follow(event.key);
    return;
  }
  const action = ACTIONS[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});

document.addEventListener("click", (event) => {
  if (event.target.closest?.("[data-open-help]")) help();
});

const toggle = document.getElementById("keys-on");
if (toggle) {
  toggle.checked = !off();
  toggle.addEventListener("change", () => remember("keys", toggle.checked ? "on" : "off"));
}
