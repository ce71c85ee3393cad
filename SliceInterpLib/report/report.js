"use strict";

// Linked views: each has a slider; a click in a picture takes the other two views there.
const montage = JSON.parse(document.getElementById("montage").textContent);
const shown = {};

function section(view) {
  return document.getElementById("view-" + view.name);
}

function show(view, index) {
  index = Math.min(Math.max(Math.round(index), 0), view.cuts.length - 1);
  if (!(index >= 0)) return; // not a number
  const cut = view.cuts[index];
  shown[view.name] = index;
  section(view).querySelectorAll("img").forEach((image, layer) => {
    image.src = montage.pictures[cut.pictures[layer]];
    image.alt = image.dataset.title + ", " + view.name + ", " + cut.caption;
  });
  const slider = section(view).querySelector("input");
  slider.value = index;
  slider.setAttribute("aria-valuetext", cut.caption);
  const caption = section(view).querySelector("output");
  caption.textContent = cut.caption;
  caption.classList.toggle("synthetic", cut.synthetic);
  montage.views.forEach(mark);
}

// Where the cuts of the other two views run.
function mark(view) {
  const place = name => {
    const other = montage.views.find(v => v.name === name);
    return other.cuts[shown[name] ?? other.first].at;
  };
  const y = place(view.down);
  const style = section(view).style;
  style.setProperty("--x", 100 * place(view.across) + "%");
  style.setProperty("--y", 100 * (view.down === "axial" ? 1 - y : y) + "%");
}

function go(name, at) {
  const view = montage.views.find(v => v.name === name);
  const distance = index => Math.abs(view.cuts[index].at - at);
  let nearest = 0;
  view.cuts.forEach((_, index) => {
    if (distance(index) < distance(nearest)) nearest = index;
  });
  show(view, nearest);
}

function follow(view, event) {
  const frame = event.currentTarget.getBoundingClientRect();
  const y = (event.clientY - frame.top) / frame.height;
  go(view.across, (event.clientX - frame.left) / frame.width);
  go(view.down, view.down === "axial" ? 1 - y : y);
}

// report.html#axial=12&coronal=5 opens at these cuts.
function openAt() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  for (const view of montage.views) {
    show(view, wanted.has(view.name) ? Number(wanted.get(view.name)) : shown[view.name] ?? view.first);
  }
}

for (const view of montage.views) {
  const slider = section(view).querySelector("input");
  slider.hidden = false;
  slider.addEventListener("input", () => show(view, slider.valueAsNumber));
  section(view).querySelectorAll(".picture").forEach(picture => {
    picture.addEventListener("click", event => follow(view, event));
  });
}
addEventListener("hashchange", openAt);
openAt();
