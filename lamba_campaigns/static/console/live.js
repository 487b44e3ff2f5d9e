// Live regions: <section data-live hx-get="…" hx-trigger="tick" hx-swap="outerHTML">. They tick every two seconds while the
// tab is visible, back off to thirty on errors, and stop when the server renders the region without data-live.
const REST = 2000;
const REST_MAX = 30000;
let rest = REST;

const regions = () => document.querySelectorAll("[data-live]");
const tick = () => {
  for (const region of regions()) {
    const every = Number(region.dataset.every ?? 0) * 1000;
    const last = Number(region.dataset.ticked ?? 0);
    if (Date.now() - last < every) continue;
    region.dataset.ticked = Date.now();
    htmx.trigger(region, "tick");
  }
};
const loop = () => {
  if (document.visibilityState === "visible") tick();
  if (regions().length) setTimeout(loop, rest);
};
setTimeout(loop, rest);
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && tick());

const reached = (ok) => {
  rest = ok ? REST : Math.min(rest * 2, REST_MAX);
  for (const note of document.querySelectorAll("[data-offline]")) note.hidden = ok;
};
document.addEventListener("htmx:afterRequest", (event) => {
  if (event.target.closest?.("[data-live]")) reached(event.detail.successful || event.detail.xhr.status === 204);
});
document.addEventListener("htmx:sendError", (event) => {
  if (event.target.closest?.("[data-live]")) reached(false);
});
