// Puts what waits and what goes wrong into the tab's title and icon, again after each swap of #counts.

const PREFIX = /^\(\d+\) /;

function show() {
  const counts = document.getElementById("counts");
  if (!counts) return;
  const waiting = Number(counts.dataset.waiting || 0);
  const trouble = Number(counts.dataset.trouble || 0);
  const bare = document.title.replace(PREFIX, "");
  document.title = waiting > 0 ? `(${waiting}) ${bare}` : bare;
  const icon = document.querySelector('link[rel="icon"]');
  const kind = trouble > 0 ? "trouble" : waiting > 0 ? "waiting" : "calm";
  for (const mirror of document.querySelectorAll("[data-counts-mirror]")) {
    mirror.replaceChildren(...[...counts.children].map((child) => child.cloneNode(true)));
  }
  if (icon && icon.getAttribute("href") !== icon.dataset[kind]) icon.href = icon.dataset[kind];
}

document.addEventListener("htmx:afterSettle", show);
show();
