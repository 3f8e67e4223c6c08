// Copies what is shown cut (a digest) whole.

import { say } from "./say.js";

const SHOWN_MS = 1500;

document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  button.dataset.copied = "";
  say(button.dataset.copiedText);
  setTimeout(() => delete button.dataset.copied, SHOWN_MS);
});
