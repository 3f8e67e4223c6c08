// Asks the browser for a passkey when a form that wants one is sent, and sends the answer with it.
// What goes to and fro is JSON, in which bytes are base64url.

const asked = new WeakSet();

function toBytes(text) {
  const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(plain, (letter) => letter.charCodeAt(0));
}

function toText(buffer) {
  const plain = String.fromCharCode(...new Uint8Array(buffer));
  return btoa(plain).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

function readKeys(keys) {
  return keys?.map((key) => ({ ...key, id: toBytes(key.id) }));
}

function readOptions({ publicKey }) {
  const read = { ...publicKey, challenge: toBytes(publicKey.challenge) };
  if (read.user) read.user = { ...read.user, id: toBytes(read.user.id) };
  if (read.allowCredentials) read.allowCredentials = readKeys(read.allowCredentials);
  if (read.excludeCredentials) read.excludeCredentials = readKeys(read.excludeCredentials);
  return { publicKey: read };
}

async function optionsOf(form) {
  if (form.dataset.options) return JSON.parse(form.dataset.options);
  const answer = await fetch(form.dataset.optionsUrl, { headers: { Accept: "application/json" } });
  return (await answer.json()).request_options;
}

function written(credential) {
  const response = {};
  for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (credential.response[name]) response[name] = toText(credential.response[name]);
  }
  const id = toText(credential.rawId);
  const clientExtensionResults = credential.getClientExtensionResults();
  return JSON.stringify({ id, rawId: id, type: credential.type, response, clientExtensionResults });
}

async function ask(form) {
  const options = readOptions(await optionsOf(form));
  const kind = form.dataset.passkey;
  return written(await (kind === "create" ? navigator.credentials.create(options) : navigator.credentials.get(options)));
}

function say(form, text) {
  const place = form.querySelector("[data-passkey-problem]");
  place.textContent = text;
  place.hidden = !text;
}

function reason(form, error) {
  return error.name === "InvalidStateError" ? form.dataset.known : form.dataset.refused;
}

async function fill(form, button) {
  button?.setAttribute("aria-busy", "true");
  try {
    form.elements.credential.value = await ask(form);
    form.requestSubmit(button);
  } catch (error) {
    say(form, reason(form, error));
  } finally {
    asked.delete(form);
    button?.removeAttribute("aria-busy");
  }
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("[data-passkey]") || form.elements.credential.value) return;
  event.preventDefault();
  if (asked.has(form)) return;
  say(form, "");
  if (!window.PublicKeyCredential) return say(form, form.dataset.unable);
  asked.add(form);
  fill(form, event.submitter);
});

// Coming back through the browser's history finds the answer of then, whose challenge is over.
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("[data-passkey]")) form.elements.credential.value = "";
});
