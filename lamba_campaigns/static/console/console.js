// Dialogs, typed confirmation, toasts, copying, unsaved changes. All from attributes; nothing here owns data,
// and every page works without it.
const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

document.documentElement.dataset.scripts = "on";

// --- dialogs: data-opens="id" on a link or button, data-closes inside. A dialog that the server rendered open becomes modal.
const showModal = (dialog) => {
  if (dialog.open) dialog.close();
  dialog.showModal();
};
for (const dialog of $$("dialog[data-modal][open]")) showModal(dialog);
for (const lock of $$("[data-confirmed]")) lock.disabled = true;
$("[data-focus]")?.focus();

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opens]");
  const dialog = opener && document.getElementById(opener.dataset.opens);
  if (dialog && !(event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    opener.closest("[popover]")?.hidePopover();
    showModal(dialog);
  }
  const closer = event.target.closest("[data-closes]");
  if (closer?.closest("dialog")) {
    event.preventDefault();
    closer.closest("dialog").close();
  }
  if (event.target.matches("dialog") && !event.target.matches("[data-stay]")) event.target.close(); // its backdrop
  const copy = event.target.closest("[data-copy]");
  if (copy) navigator.clipboard?.writeText(copy.dataset.copy).then(() => toast("Copied"));
});

// --- typed words: data-confirm="production" frees the button with data-confirmed. The server checks the word again.
document.addEventListener("input", (event) => {
  const word = event.target.dataset?.confirm;
  if (!word) return;
  const typed = event.target.value.trim().toLowerCase();
  for (const button of $$("[data-confirmed]", event.target.form)) button.disabled = typed !== word.toLowerCase();
});

// --- toasts: from messages in the page, or from the HX-Trigger header {"toast": {"texts": […]}}
const toast = (text) => {
  const box = Object.assign(document.createElement("div"), { className: "toast", textContent: text });
  $(".toasts").append(box);
};
document.addEventListener("toast", (event) => (event.detail.texts ?? [event.detail.value]).forEach(toast));
document.addEventListener("animationend", (event) => {
  if (event.animationName === "leave") event.target.remove();
});
document.addEventListener("htmx:responseError", () => toast("That did not work. Load the page again."));
document.addEventListener("htmx:sendError", (event) => {
  if (!event.target.closest?.("[data-live]")) toast("No connection. Nothing was changed.");
});
document.addEventListener("problem", () => showModal($("#problem-dialog")));

// --- unsaved changes: data-guard on a form
let dirty = false;
document.addEventListener("input", (event) => (dirty ||= Boolean(event.target.closest("form[data-guard]"))));
document.addEventListener("submit", () => (dirty = false));
addEventListener("beforeunload", (event) => dirty && event.preventDefault());

// --- one click, one request
document.addEventListener("submit", (event) => {
  if (event.target.method !== "post" || event.defaultPrevented) return;
  if (event.target.dataset.sent) event.preventDefault();
  else event.target.dataset.sent = "1";
});
addEventListener("pageshow", () => $$("form[data-sent]").forEach((form) => delete form.dataset.sent));

// --- fields that follow a choice: data-submits posts or gets the form as soon as the value changes
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submits]")) event.target.form.requestSubmit();
});

// --- insert a template variable at the caret of the last field that had it
let caret = null;
document.addEventListener("focusin", (event) => {
  if (event.target.matches("textarea, input[type=text]") && event.target.form?.querySelector("[data-insert]")) caret = event.target;
});
document.addEventListener("click", (event) => {
  const chip = event.target.closest("[data-insert]");
  if (!chip) return;
  const form = chip.form ?? chip.closest("form");
  const field = caret?.form === form ? caret : $("textarea", form);
  field.focus();
  field.setRangeText(chip.dataset.insert, field.selectionStart, field.selectionEnd, "end");
  field.dispatchEvent(new Event("input", { bubbles: true }));
});

// --- a rendered message sits in a frame with a policy of its own: data-frame="address" data-frame-for="id of the iframe"
document.addEventListener("htmx:afterSettle", (event) => {
  for (const source of [event.target, ...$$("[data-frame]", event.target)]) {
    const frame = source.dataset?.frame && document.getElementById(source.dataset.frameFor ?? "frame");
    if (frame) frame.contentWindow.location.replace(source.dataset.frame); // replace() leaves no history entry
  }
});
