// Sends Django's CSRF token with every htmx request. htmx itself is configured by <meta name="htmx-config">.

document.addEventListener("htmx:configRequest", (event) => {
  const token = document.querySelector('meta[name="csrf-token"]')?.content;
  if (token) event.detail.headers["X-CSRFToken"] = token;
});
