// Refreshes the parts of the page that follow a topic; spares those in which someone is writing.

// The first news is drawn at once; of a stream of them each browser asks once a second, or a few readers of one
// rollout keep the server busy with drawing it.
const GATHER_MS = 120;
const REST_MS = 1_000;
const held = new Set();
const due = new Set();
const caughtUp = new Map();
let timer = 0;
let drawnAt = -REST_MS;

function isField(element) {
  return element.matches("input, select, textarea, [contenteditable]");
}

export function isTyped(field) {
  if (field.matches('[type="checkbox"], [type="radio"]')) return field.checked !== field.defaultChecked;
  if (field.matches("select")) return [...field.options].some((option) => option.selected !== option.defaultSelected);
  return field.value !== field.defaultValue;
}

// htmx gives the focus back to an element with the same id; anything else that has it must not be swapped.
function isInUse(part) {
  const active = document.activeElement;
  if (part.contains(active) && part !== active && (isField(active) || !active.id)) return true;
  if (part.querySelector("dialog[open], details.menu[open]")) return true;
  return [...part.querySelectorAll("input:not([type=hidden]), select, textarea")].some(isTyped);
}

function refresh(part) {
  if (!part.isConnected) return;
  if (isInUse(part)) {
    held.add(part);
    part.dataset.liveHeld = "";
    return;
  }
  held.delete(part);
  delete part.dataset.liveHeld;
  window.htmx?.trigger(part, "live");
}

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
