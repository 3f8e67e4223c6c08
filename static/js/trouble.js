// Says so when the server refused or was not reached; the page below stays as it is.

const STAYS_MS = 12_000;

function show(text) {
  const place = document.getElementById("notices");
  if (!place || !text) return;
  const box = document.createElement("div");
  box.className = "notice notice-bad";
  box.setAttribute("role", "alert");
  box.textContent = text;
  place.replaceChildren(box);
  setTimeout(() => box.remove(), STAYS_MS);
}

document.addEventListener("htmx:sendError", (event) => {
  if (event.detail.requestConfig?.triggeringEvent?.type !== "live") show(document.body.dataset.unreached);
});
document.addEventListener("htmx:timeout", () => show(document.body.dataset.unreached));
document.addEventListener("htmx:responseError", (event) => {
  const status = event.detail.xhr.status;
  if (status === 401) location.reload();
  else show(status >= 500 ? document.body.dataset.broken : document.body.dataset.refused);
});
