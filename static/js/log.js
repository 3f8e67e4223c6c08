// Keeps the end of a log in view, unless the reader has scrolled away from it.

const NEAR = 24;
let atEnd = true;

const lines = () => document.getElementById("log-lines");

const toEnd = () => {
  const box = lines();
  if (box && atEnd) box.scrollTop = box.scrollHeight;
};

document.addEventListener("htmx:beforeSwap", () => {
  const box = lines();
  atEnd = !box || box.scrollHeight - box.scrollTop - box.clientHeight < NEAR;
});
document.addEventListener("htmx:afterSwap", toEnd);
toEnd();
