// Charts: one tooltip, for the pointer and for the arrow keys. The geometry is the server's.
const hide = (plot) => {
  for (const bar of plot.querySelectorAll(".hit.on")) bar.classList.remove("on");
  plot.querySelector(".tip").hidden = true;
};
const show = (bar) => {
  const plot = bar.closest(".plot");
  hide(plot);
  bar.classList.add("on");
  const tip = plot.querySelector(".tip");
  const cells = [bar.dataset.label, ...bar.dataset.cells.split("|").map((n) => Number(n).toLocaleString("en"))];
  tip.querySelectorAll("[data-cell]").forEach((cell, i) => (cell.textContent = cells[i]));
  tip.hidden = false;
  const [here, frame] = [bar.getBoundingClientRect(), plot.getBoundingClientRect()];
  const right = here.right - frame.left + 8;
  const fits = right + tip.offsetWidth <= frame.width;
  tip.style.left = `${fits ? right : Math.max(0, here.left - frame.left - tip.offsetWidth - 8)}px`;
};

document.addEventListener("pointermove", (event) => {
  const bar = event.target.closest?.(".plot .hit");
  if (bar && !bar.classList.contains("on")) show(bar);
});
document.addEventListener("pointerout", (event) => {
  const plot = event.target.closest?.(".plot");
  if (plot && !event.relatedTarget?.closest?.(".hit")) hide(plot);
});
document.addEventListener("keydown", (event) => {
  const svg = event.target.closest?.("svg[data-chart]");
  if (!svg || !["ArrowLeft", "ArrowRight", "Escape"].includes(event.key)) return;
  event.preventDefault();
  if (event.key === "Escape") return hide(svg.closest(".plot"));
  const bars = [...svg.querySelectorAll(".hit")];
  const now = bars.findIndex((bar) => bar.classList.contains("on"));
  const step = event.key === "ArrowRight" ? 1 : -1;
  const next = bars[Math.max(0, Math.min(bars.length - 1, now < 0 ? bars.length - 1 : now + step))];
  if (next) show(next);
});
