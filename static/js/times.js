// Keeps "3 minutes ago" and "About 9 min left" true while the page stands open.

const TICK_MS = 10_000;
const DAY_SECONDS = 86_400;
const words = new Intl.RelativeTimeFormat(document.documentElement.lang, { numeric: "always" });

function unitOf(seconds) {
  if (seconds < 60) return ["second", seconds];
  if (seconds < 3600) return ["minute", Math.floor(seconds / 60)];
  return ["hour", Math.floor(seconds / 3600)];
}

function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// As portal.ui.times.left says it.
function leftOf(time) {
  const seconds = (Date.parse(time.dateTime) - Date.now()) / 1000;
  const words = seconds < 0 ? time.dataset.late : time.dataset.left;
  return words.replace("{minutes}", Math.max(1, Math.ceil(Math.abs(seconds) / 60)));
}

function refresh() {
  for (const span of document.querySelectorAll("time > [data-relative]")) {
    const seconds = Math.trunc((Date.parse(span.parentElement.dateTime) - Date.now()) / 1000);
    if (Number.isNaN(seconds) || Math.abs(seconds) >= DAY_SECONDS) continue;
    const [unit, count] = unitOf(Math.abs(seconds));
    put(span, words.format(seconds > 0 ? count : -count, unit));
  }
  for (const time of document.querySelectorAll("time[data-left]")) put(time, leftOf(time));
}

setInterval(refresh, TICK_MS);
document.addEventListener("visibilitychange", refresh);
