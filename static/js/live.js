// Follows the topics that the page names, by number, and asks the parts concerned to fetch themselves again.
// A part is any element with data-live-topic, data-live-after and hx-trigger="live". Works without: reload.

import { say, alarm } from "./say.js";
import { Connection } from "./live-connection.js";
import { refreshParts, catchUp, flushHeld } from "./live-parts.js";

const POLL_MS = 10_000;
const seen = new Map();

function topicsOnPage() {
  const topics = new Map();
  for (const part of document.querySelectorAll("[data-live-topic]")) {
    const topic = part.dataset.liveTopic;
    const after = Number(part.dataset.liveAfter || 0);
    topics.set(topic, Math.min(topics.get(topic) ?? Infinity, after));
  }
  for (const [topic, after] of topics) topics.set(topic, Math.max(after, seen.get(topic) ?? 0));
  return topics;
}

function voice(events) {
  const spoken = events.filter((event) => event.text);
  const bad = spoken.find((event) => /\.(failed|breached|rollback_failed)$/.test(event.kind ?? ""));
  if (bad) alarm(bad.text, `${bad.kind}.${bad.id}`);
  else if (spoken.length) say(spoken.at(-1).text);
}

function receive({ topic, events, closed, text }) {
  if (closed) {
    say(text ?? closed);
    return;
  }
  const fresh = (events ?? []).filter((event) => event.id > (seen.get(topic) ?? 0));
  if (!fresh.length) return;
  const newest = fresh.at(-1).id;
  seen.set(topic, newest);
  document.dispatchEvent(new CustomEvent("live:events", { detail: { topic, events: fresh } }));
  voice(fresh);
  refreshParts(topic, newest);
}

const connection = new Connection({ topics: topicsOnPage, receive });

document.addEventListener("htmx:afterSettle", () => {
  connection.subscribe();
  for (const [topic, newest] of seen) catchUp(topic, newest);
});
document.addEventListener("focusout", () => setTimeout(flushHeld));
window.addEventListener("online", () => connection.open());
setInterval(() => {
  if (connection.state !== "stale" || document.hidden) return;
  for (const topic of topicsOnPage().keys()) refreshParts(topic, Infinity);
}, POLL_MS);

if (topicsOnPage().size) connection.open();
