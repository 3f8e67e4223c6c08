// One polite voice: says one sentence, at most every 10 seconds, the newest wins. Alarms are said at once.

const QUIET_MS = 10_000;
let lastSaid = -QUIET_MS;
let timer = 0;
let next = "";

function speak() {
  timer = 0;
  lastSaid = performance.now();
  const voice = document.getElementById("said");
  if (voice) voice.textContent = next;
}

export function say(sentence) {
  next = sentence;
  if (timer) return;
  timer = setTimeout(speak, Math.max(0, lastSaid + QUIET_MS - performance.now()));
}

const alarmed = new Set();

// `key` names the trouble, so that the same one is never shouted twice.
export function alarm(sentence, key) {
  if (alarmed.has(key)) return;
  alarmed.add(key);
  const voice = document.getElementById("alarm");
  if (voice) voice.textContent = sentence;
}
