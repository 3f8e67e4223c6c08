// After a swap the focus stays where it was; if that place is gone, it goes to the fragment's heading.

document.addEventListener("htmx:afterSettle", (event) => {
  const asked = event.detail.requestConfig?.triggeringEvent?.type;
  const lost = document.activeElement === document.body || document.activeElement === null;
  if (!lost || !asked || asked === "live" || asked === "load") return;
  const heading = event.target.querySelector?.("h1, h2, h3");
  if (!heading) return;
  heading.tabIndex = -1;
  heading.focus();
});
