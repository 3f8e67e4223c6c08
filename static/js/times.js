// Keeps "3 minutes ago" true while the page stands open.

const TICK_MS = 10_000;
const DAY_SECONDS = 86_400;
const words = new Intl.RelativeTimeFormat(document.documentElement.lang, { numeric: "always" });

function unitOf(seconds) {
  if (seconds < 60) return ["second", seconds];
  if (seconds < 3600) return ["minute", Math.floor(seconds / 60)];
  return ["hour", Math.floor(seconds / 3600)];
}

function refresh() {
  for (const span of document.querySelectorAll("time > [data-relative]")) {
    const seconds = Math.trunc((Date.parse(span.parentElement.dateTime) - Date.now()) / 1000);
    if (Number.isNaN(seconds) || Math.abs(seconds) >= DAY_SECONDS) continue;
    const [unit, count] = unitOf(Math.abs(seconds));
    const text = words.format(seconds > 0 ? count : -count, unit);
    if (span.textContent !== text) span.textContent = text;
  }
}

setInterval(refresh, TICK_MS);
document.addEventListener("visibilitychange", refresh);
