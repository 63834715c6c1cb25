"use strict";

// Panels that stay up to date: fetched every two seconds while somebody looks, and put in place of the old ones.

const PERIOD = 2000;
const byId = (id) => document.getElementById(id);
const connection = byId("connection"), shown = new Map();
let lastSeen = new Date(), timer = 0;

const said = (time) => time.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });

function say(lost) {
  const words = lost ? `no connection since ${said(lastSeen)}` : "";
  if (connection.textContent !== words) connection.textContent = words;
  connection.hidden = !lost;
  connection.classList.toggle("lost", lost);
}

// What a reader did in a panel outlives the change: opened parts, what was typed, how far it is scrolled, and the focus.
function swap(panel, fresh) {
  const places = "summary, a, button, input, [tabindex]";
  const open = new Map([...panel.querySelectorAll("details")].map((each) => [each.dataset.key, each.open]));
  const scrolled = [...panel.querySelectorAll(".scroll")].map((each) => each.scrollLeft);
  const focused = [...panel.querySelectorAll(places)].indexOf(document.activeElement);
  const typed = [...panel.querySelectorAll("input:not([type=hidden])")].map((each) => each.value);
  panel.replaceChildren(...fresh.childNodes);
  panel.querySelectorAll("input:not([type=hidden])").forEach((each, number) => { each.value = typed[number] ?? ""; });
  for (const each of panel.querySelectorAll("details")) each.open = open.get(each.dataset.key) ?? each.open;
  panel.querySelectorAll(".scroll").forEach((each, number) => { each.scrollLeft = scrolled[number] ?? 0; });
  if (focused >= 0) panel.querySelectorAll(places)[focused]?.focus({ preventScroll: true });
}

function isBeingRead(panel) {
  const selection = getSelection();
  return !selection.isCollapsed && panel.contains(selection.anchorNode);
}

async function refresh() {
  try {
    const answer = await fetch("console/live" + location.search, { signal: AbortSignal.timeout(8000) });
    if (!answer.ok) throw new Error(answer.status);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const fresh of page.querySelectorAll("[data-panel]")) {
      const panel = byId(fresh.id);
      if (!panel || shown.get(fresh.id) === fresh.innerHTML || isBeingRead(panel)) continue;
      shown.set(fresh.id, fresh.innerHTML);
      swap(panel, fresh);
    }
    lastSeen = new Date();
    say(false);
  } catch {
    say(true);
  }
}

async function keepFresh() {
  clearTimeout(timer);
  if (!document.hidden) await refresh();
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(keepFresh, PERIOD);
}

document.addEventListener("visibilitychange", keepFresh);
timer = setTimeout(keepFresh, PERIOD);

// Trying: an image goes where every client's does, then the model that answered is asked where it looked.

const drop = byId("drop"), file = byId("file");
const verdict = byId("verdict"), tried = byId("tried");
const percent = (share) => `${(100 * share).toFixed(1)} %`;
let latest = 0;

function made(tag, text, kind) {
  const element = document.createElement(tag);
  if (text) element.textContent = text;
  if (kind) element.className = kind;
  return element;
}

async function asked(address, image) {
  const headers = { "content-type": image.type || "application/octet-stream" };
  const answer = await fetch(address, { method: "POST", body: image, headers });
  const told = await answer.json();
  if (!answer.ok) throw new Error([told.error.message, told.error.hint].filter(Boolean).join(". "));
  return told;
}

function bar(name, share) {
  const row = made("dd"), track = made("span", "", "share"), filled = made("span"), label = made("dt", name);
  filled.style.width = percent(share).replace(" ", "");
  track.append(filled);
  row.append(track, made("span", percent(share)));
  label.title = name;
  return [label, row];
}

function showAnswer(told) {
  verdict.replaceChildren(made("p", `${told.prediction} · ${percent(told.probability)}`, "answer"));
  const fallback = told.original_error ? ` It answered in another’s stead: ${told.original_error}.` : "";
  byId("who").textContent = `By ${told.model_id}, version ${told.version}, in ${Math.round(1000 * told.inference_time)} ms.${fallback}`;
  byId("likeness").replaceChildren(told.unlike === null ? made("span", "the package does not say what it knows", "badge none")
    : told.unlike ? made("span", "unlike the images that it knows: its answer is worth little", "badge poor")
      : made("span", "like the images that it knows", "badge good"));
  const most = Object.entries(told.probabilities).sort((one, other) => other[1] - one[1]).slice(0, 6);
  byId("probabilities").replaceChildren(...most.flatMap(([name, share]) => bar(name, share)));
  byId("looks").replaceChildren(made("p", "Where it looks is being computed …", "quiet"));
  tried.hidden = false;
}

function picture(address, words, kind) {
  const figure = made("figure", "", kind), image = made("img");
  image.src = address;
  image.alt = words;
  figure.append(image, made("figcaption", words));
  return figure;
}

function showLook(told) {
  const parts = told.picture ? [picture(told.picture, "as the model sees it")] : [];
  if (told.attention) parts.push(picture(told.attention, "where it looks: attention of its last layer"),
    picture(told.legend, `times an even share; ${told.scale}`, "legend"));
  if (told.no_map) parts.push(made("p", told.no_map, "quiet"));
  byId("looks").replaceChildren(...parts);
}

async function tryImage(image) {
  const turn = ++latest;
  verdict.replaceChildren(made("p", `${image.name} is being answered …`, "quiet"));
  tried.hidden = true;
  try {
    const told = await asked("v1/predict", image);
    if (turn !== latest) return;
    showAnswer(told);
    const look = await asked(`v1/look?model=${encodeURIComponent(told.model_id)}`, image);
    if (turn === latest) showLook(look);
  } catch (error) {
    if (turn !== latest) return;
    const words = error instanceof TypeError ? "The server cannot be reached." : error.message;
    if (tried.hidden) verdict.replaceChildren(made("p", words, "refused"));
    else byId("looks").replaceChildren(made("p", words, "quiet"));
  }
}

const tryFirst = (files) => { if (files.length) tryImage(files[0]); };
file.addEventListener("change", () => { tryFirst(file.files); file.value = ""; });
for (const name of ["dragover", "drop"]) addEventListener(name, (event) => event.preventDefault());
drop.addEventListener("dragover", () => drop.classList.add("over"));
for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => tryFirst(event.dataTransfer.files));
