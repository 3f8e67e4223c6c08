// Light, dark or the system's: remembered in a cookie, so that the server draws the page right at once.

import { remember, recall } from "./cookies.js";

const CHOICES = ["system", "light", "dark"];

function show(choice) {
  const root = document.documentElement;
  if (choice === "system") delete root.dataset.theme;
  else root.dataset.theme = choice;
  for (const button of document.querySelectorAll("[data-theme-choice]")) {
    button.setAttribute("aria-pressed", String(button.dataset.themeChoice === choice));
  }
}

const remembered = recall("theme");
show(CHOICES.includes(remembered) ? remembered : document.documentElement.dataset.theme ?? "system");

document.addEventListener("click", (event) => {
  const choice = event.target.closest?.("[data-theme-choice]")?.dataset.themeChoice;
  if (!CHOICES.includes(choice)) return;
  remember("theme", choice);
  show(choice);
});
