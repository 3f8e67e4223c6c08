// Refreshes the parts of the page that follow a topic; spares those in which someone is writing, and keeps the focus.

// The first news is drawn at once; of a stream of them each browser asks once a second, or a few readers of one
// rollout keep the server busy with drawing it.
const GATHER_MS = 120;
const REST_MS = 1_000;
const held = new Set();
const due = new Set();
const caughtUp = new Map();
let timer = 0;
let drawnAt = -REST_MS;
let focusedLink = "";

function isField(element) {
  return element.matches("input, select, textarea, [contenteditable]");
}

export function isTyped(field) {
  if (field.matches('[type="checkbox"], [type="radio"]')) return field.checked !== field.defaultChecked;
  if (field.matches("select")) return [...field.options].some((option) => option.selected !== option.defaultSelected);
  return field.value !== field.defaultValue;
}

// What a part draws anew: itself, or the place that it names.
function placeOf(part) {
  const named = part.getAttribute("hx-target");
  return (named && document.querySelector(named)) ?? part;
}

// The focus is given back to an element with the same id (htmx) and to a link that leads to the same address (below);
// anything else that has it must not be swapped.
function comesBack(active) {
  return !isField(active) && (active.id || active.matches("a[href]"));
}

// What is marked with hx-preserve stays through a swap as it is.
function isInUse(place) {
  const active = document.activeElement;
  if (place.contains(active) && place !== active && !comesBack(active)) return true;
  if (place.querySelector("dialog[open], details.menu[open]")) return true;
  return [...place.querySelectorAll("input:not([type=hidden], [hx-preserve]), select, textarea")].some(isTyped);
}

function hold(part, place) {
  held.add(part);
  place.dataset.liveHeld = "";
}

function refresh(part) {
  held.delete(part);
  if (!part.isConnected) return;
  const place = placeOf(part);
  if (isInUse(place)) {
    hold(part, place);
    return;
  }
  delete place.dataset.liveHeld;
  window.htmx?.trigger(part, "live");
}

// Somebody may have begun to write after the part was asked for.
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  const { elt, triggeringEvent } = detail.requestConfig;
  focusedLink = "";
  if (triggeringEvent?.type !== "live") return;
  if (isInUse(detail.target)) {
    detail.shouldSwap = false;
    hold(elt, detail.target);
  } else if (detail.target.contains(document.activeElement) && !document.activeElement.id) {
    const address = CSS.escape(document.activeElement.getAttribute("href"));
    focusedLink = `#${CSS.escape(detail.target.id)} [href="${address}"]`;
  }
});

document.addEventListener("htmx:afterSwap", () => {
  if (focusedLink) document.querySelector(focusedLink)?.focus({ preventScroll: true });
  focusedLink = "";
});

function schedule() {
  if (!due.size || timer) return;
  timer = setTimeout(flush, Math.max(GATHER_MS, drawnAt + REST_MS - performance.now()));
}

function flush() {
  timer = 0;
  drawnAt = performance.now();
  const parts = [...due];
  due.clear();
  parts.forEach(refresh);
}

// Parts already drawn at or after `newest` have nothing to gain.
export function refreshParts(topic, newest) {
  for (const part of document.querySelectorAll(`[data-live-topic="${CSS.escape(topic)}"]`)) {
    if (Number(part.dataset.liveAfter || 0) < newest) due.add(part);
  }
  schedule();
}

// An event that arrives while a part is being fetched asks the old part, which is then swapped away: the new one
// asks again, once for each number, or an answer that stays old would ask for ever.
export function catchUp(topic, newest) {
  for (const part of document.querySelectorAll(`[data-live-topic="${CSS.escape(topic)}"]`)) {
    const key = `${topic} ${part.id}`;
    if (Number(part.dataset.liveAfter || 0) >= newest || caughtUp.get(key) === newest) continue;
    caughtUp.set(key, newest);
    due.add(part);
  }
  schedule();
}

export function flushHeld() {
  for (const part of [...held]) refresh(part);
}
