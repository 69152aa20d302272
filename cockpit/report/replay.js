"use strict";
const numbers = JSON.parse(document.getElementById("numbers").textContent);
const slider = document.getElementById("at");
const button = document.getElementById("play");
const speed = document.getElementById("speed");
const curtains = document.querySelectorAll(".curtain");
const nows = document.querySelectorAll(".now");
const sentences = document.querySelectorAll("#told li");
let playing = false;
let before = 0;

function clock(hours) {
  const minutes = Math.floor(hours * 60 + 1e-6);
  return Math.floor(minutes / 60) + "h" + String(minutes % 60).padStart(2, "0") + "m";
}

function upTo(sorted, hours) {
  let low = 0, high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] <= hours) low = middle + 1; else high = middle;
  }
  return low;
}

function show(hours) {
  const at = Math.min(numbers.hours, Math.max(0, hours));
  const x = numbers.left + (numbers.right - numbers.left) * (numbers.hours ? at / numbers.hours : 1);
  const over = at >= numbers.hours;
  for (const curtain of curtains) {
    curtain.setAttribute("x", x);
    curtain.setAttribute("width", over ? 0 : 960 - x);
  }
  for (const now of nows) {
    now.setAttribute("transform", "translate(" + x + ")");
    now.setAttribute("visibility", over ? "hidden" : "visible");
  }
  for (const sentence of sentences) sentence.hidden = Number(sentence.dataset.at) > at;
  const best = numbers.best.filter((step) => step[0] <= at).pop();
  document.getElementById("clock").textContent = clock(at);
  document.getElementById("measured").textContent = upTo(numbers.measured, at);
  document.getElementById("best").textContent = best ? best[1].toFixed(4) + " (" + best[2] + ")" : "none yet";
  slider.value = at;
  return over;
}

function step(time) {
  if (!playing) return;
  const passed = before ? (time - before) / 1000 : 0;
  before = time;
  if (show(Number(slider.value) + passed * Number(speed.value) / 60)) stop();
  else requestAnimationFrame(step);
}

function stop() {
  playing = false;
  before = 0;
  button.textContent = "Play";
}

function play() {
  if (Number(slider.value) >= numbers.hours) show(0);
  playing = true;
  button.textContent = "Pause";
  requestAnimationFrame(step);
}

function toggle() {
  if (playing) stop(); else play();
}

button.addEventListener("click", toggle);
slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
document.addEventListener("keydown", (event) => {
  if (event.target !== document.body) return;
  if (event.key === " ") { event.preventDefault(); toggle(); }
  if (event.key === "ArrowRight") { stop(); show(Number(slider.value) + 0.1); }
  if (event.key === "ArrowLeft") { stop(); show(Number(slider.value) - 0.1); }
});
document.body.classList.add("plays");
const start = Number(location.hash.slice(1));
show(location.hash && start >= 0 ? start : 0);
