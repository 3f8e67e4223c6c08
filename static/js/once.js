// A pressed button is busy until the server has answered, and a form is sent once.

import { say } from "./say.js";

const SLOW_MS = 10_000;
const busy = new Map();

function begin(form, button) {
  const timer = setTimeout(() => say(document.body.dataset.slow), SLOW_MS);
  busy.set(form, { button, timer });
  button?.setAttribute("aria-busy", "true");
}

function end(form) {
  const sent = busy.get(form);
  if (!sent) return;
  clearTimeout(sent.timer);
  sent.button?.removeAttribute("aria-busy");
  busy.delete(form);
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method === "dialog") return;
  if (busy.has(form)) {
    event.preventDefault();
    event.stopPropagation();
    return;
  }
  begin(form, event.submitter);
}, { capture: true });

// A refused press (the browser's own checks, another script) leaves nothing busy.
document.addEventListener("submit", (event) => {
  const viaHtmx = event.target.matches("[hx-post], [hx-get], [hx-put], [hx-delete]");
  if (event.defaultPrevented && !viaHtmx) end(event.target);
});

document.addEventListener("htmx:afterRequest", (event) => {
  end(event.detail.requestConfig?.elt ?? event.detail.elt);
});

document.addEventListener("click", (event) => {
  if (event.target.closest?.('[aria-disabled="true"]')) event.preventDefault();
});

// Coming back through the browser's history shows a page that waits for nothing.
window.addEventListener("pageshow", () => { for (const form of [...busy.keys()]) end(form); });
