// Shortcuts: data-key="g c" on any link, button or field; arrows in the find box. Dead while typing, with a modifier,
// and when the person turned them off.
const GAP = 1200; // ms between the two keys of a sequence
let last = "";
let at = 0;

const typing = (target) => target.closest?.("input:not([type=radio], [type=checkbox]), select, textarea, [contenteditable]");

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  if (document.documentElement.dataset.keys === "off" || document.querySelector("dialog:modal")) return;
  const sequence = Date.now() - at < GAP ? `${last} ${event.key}` : event.key;
  const found = [...document.querySelectorAll("[data-key]")];
  const hit = found.find((e) => e.dataset.key === sequence) ?? found.find((e) => e.dataset.key === event.key);
  [last, at] = [event.key, Date.now()];
  if (!hit) return;
  event.preventDefault();
  last = "";
  if (hit.matches("input")) hit.focus();
  else hit.click();
});

// --- the find box
const options = () => [...document.querySelectorAll("#find-results [role=option]")];
const choose = (option) => {
  for (const each of options()) each.setAttribute("aria-selected", each === option);
  const field = document.querySelector("#find-dialog [role=combobox]");
  if (option) field.setAttribute("aria-activedescendant", option.id);
  else field.removeAttribute("aria-activedescendant");
  option?.scrollIntoView({ block: "nearest" });
};
document.addEventListener("keydown", (event) => {
  if (!event.target.matches?.("#find-dialog [role=combobox]")) return;
  const all = options();
  const now = all.findIndex((option) => option.getAttribute("aria-selected") === "true");
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    choose(all[(now + (event.key === "ArrowDown" ? 1 : -1) + all.length) % all.length]);
  } else if (event.key === "Enter" && now >= 0) {
    event.preventDefault();
    all[now].click();
  }
});
document.addEventListener("htmx:afterSettle", (event) => {
  if (event.target.id === "find-results") choose(options()[0]);
});
