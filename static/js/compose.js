// Choosing a version ticks its service, choosing an environment shows its services.

document.addEventListener("change", (event) => {
  const box = document.getElementById(event.target.dataset?.ticks ?? "");
  if (box && !box.disabled) box.checked = true;
  if (event.target.matches?.("[data-submit-on-change]")) event.target.form.requestSubmit();
});
