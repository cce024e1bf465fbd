"use strict";
/* The page works without this: it spares waiting, and links pictures, maps and keys. */
const base = document.body.dataset.base;
const all = (what, where = document) => [...where.querySelectorAll(what)];
const one = (what, where = document) => where.querySelector(what);
const say = (text) => { one("#said").textContent = text; };
const token = () => (crypto.randomUUID ? crypto.randomUUID() : String(Math.random()).slice(2) + Date.now());
const later = (work, wait) => { let timer; return (...given) => { clearTimeout(timer); timer = setTimeout(() => work(...given), wait); }; };

/* ---- the list of patients ---- */
const choice = one("#choice");
if (choice) {
  const list = one("#list");
  let levels = [], asked = 0;
  fetch(choice.dataset.levels).then((answer) => answer.json()).then((found) => { levels = found; });
  const words = () => new URLSearchParams([...new FormData(choice)].filter(([, value]) => value !== ""));
  const refresh = async () => {
    const query = words(), mine = ++asked;
    list.setAttribute("aria-busy", "true");
    const answer = await fetch(`?${query}&part=1`);
    const text = await answer.text();
    if (mine !== asked) return;
    list.innerHTML = text;
    list.removeAttribute("aria-busy");
    history.replaceState(null, "", `?${query}`);
  };
  const soon = later(refresh, 250);
  const chance = (p) => { const s = 100 * p; return s >= 99.95 ? ">99.9 %" : s < 0.01 ? "<0.01 %" : s >= 10 ? `${s.toFixed(0)} %` : s >= 1 ? `${s.toFixed(1)} %` : `${s.toFixed(2)} %`; };
  const show = (place) => {
    const level = levels[place];
    if (!level) return;
    const figures = {
      lesions: level.lesions.toLocaleString("en"), patients: level.patients.toLocaleString("en"),
      sensitivity: level.sensitivity === undefined ? "" : `${Math.round(100 * level.sensitivity)} %`,
      nnt: level.nnt == null ? "–" : level.nnt.toFixed(1),
      probability: level.probability === undefined ? level.score.toFixed(4) : chance(level.probability),
    };
    for (const [name, text] of Object.entries(figures)) { const at = one(`[data-figure=${name}]`); if (at) at.textContent = text; }
    for (const button of all("[data-level]")) button.setAttribute("aria-pressed", String(button.dataset.level === String(place)));
    one("#level").setAttribute("aria-valuetext", `${figures.lesions} above, ${figures.patients} patients`);
  };
  choice.addEventListener("input", (event) => { if (event.target.id === "level") show(Number(event.target.value)); soon(); });
  choice.addEventListener("submit", (event) => { event.preventDefault(); refresh(); });
  choice.addEventListener("click", (event) => {
    const place = event.target.dataset.level;
    if (place === undefined) return;
    one("#level").value = place; show(Number(place)); refresh();
  });
}

/* ---- marks and notes ---- */
const holds = (states) => {
  for (const state of states) {
    for (const marks of all(`.marks[data-row="${state.row}"]`)) for (const kind of ["look", "seen"]) one(`[data-kind=${kind}]`, marks).setAttribute("aria-pressed", String(state[kind]));
    const notes = one(`[data-notes][data-row="${state.row}"]`);
    if (notes) notes.replaceChildren(...state.notes.map((note) => {
      const item = document.createElement("li"), time = document.createElement("time"), text = document.createElement("p");
      time.textContent = note.at; text.textContent = note.text; item.append(time, text);
      return item;
    }));
  }
};
const keep = async (values) => {
  const form = new FormData();
  for (const [name, value] of Object.entries({ token: token(), ...values })) form.set(name, value);
  for (let attempt = 0; ; attempt++) {
    try {
      /* The same token: what arrived already is kept once. */
      const answer = await fetch(`${base}/marks`, { method: "POST", body: form, headers: { accept: "application/json" } });
      const state = await answer.json();
      if (!answer.ok) { say(state.error); alert(state.error); return false; }
      holds([state]);
      return true;
    } catch (error) {
      if (attempt >= 3) { alert("The page is not running any more; this was not kept."); return false; }
      await new Promise((go) => setTimeout(go, 400 * 2 ** attempt));
    }
  }
};
const toggle = (button) => {
  const { view, row } = button.closest(".marks").dataset;
  const value = button.getAttribute("aria-pressed") === "true" ? "0" : "1";
  say(`${button.textContent}: ${value === "1" ? "yes" : "no"}`);
  return keep({ view, row, kind: button.dataset.kind, value });
};
document.addEventListener("click", (event) => {
  const button = event.target.closest(".marks button");
  if (button) toggle(button);
  if (event.target.closest("[data-print]")) print();
});
const note = one("[data-note]");
if (note) note.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { view, row, value } = Object.fromEntries(new FormData(note));
  if (await keep({ view, row, kind: "note", value })) { one("textarea", note).value = ""; say("The note is kept."); }
});
const watched = one("[data-marks]");
if (watched) {
  const look = async () => { if (!document.hidden) try { holds(await (await fetch(watched.dataset.marks)).json()); } catch (error) { /* the server is gone */ } };
  setInterval(look, 4000);
  document.addEventListener("visibilitychange", look);
}

/* ---- tiles, body map and plane ---- */
const light = (row, on) => { for (const part of all(`.dot[data-row="${row}"], .tile[data-row="${row}"]`)) part.classList.toggle("lit", on); };
for (const kind of [["mouseover", true], ["mouseout", false], ["focusin", true], ["focusout", false]]) document.addEventListener(kind[0], (event) => {
  const part = event.target.closest && event.target.closest(".dot, .tile");
  if (part && part.dataset.row) light(part.dataset.row, kind[1]);
});
const grid = one("[data-grid]");
if (grid) {
  const tiles = all(".tile", grid);
  const tabbable = (tile, on) => { for (const part of all("a, button", tile)) part.tabIndex = on ? 0 : -1; };
  let here = tiles[0];
  const go = (tile) => { if (!tile) return; tabbable(here, false); here = tile; tabbable(here, true); one("a", here).focus(); };
  grid.addEventListener("focusin", (event) => { const tile = event.target.closest(".tile"); if (tile && tile !== here) { tabbable(here, false); here = tile; tabbable(here, true); } });
  grid.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const place = tiles.indexOf(here), wide = Math.max(1, tiles.filter((tile) => tile.offsetTop === tiles[0].offsetTop).length);
    const to = { ArrowRight: place + 1, ArrowLeft: place - 1, ArrowDown: place + wide, ArrowUp: place - wide, Home: 0, End: tiles.length - 1 }[event.key];
    if (to !== undefined) { event.preventDefault(); go(tiles[Math.min(Math.max(to, 0), tiles.length - 1)]); return; }
    const kind = { l: "look", s: "seen", c: "compare" }[event.key.toLowerCase()];
    if (kind) { event.preventDefault(); one(`[data-kind=${kind}]`, here).click(); }
  });
  const tray = document.createElement("div");
  tray.className = "tray"; tray.hidden = true; document.body.append(tray);
  grid.addEventListener("click", (event) => {
    const button = event.target.closest("[data-kind=compare]");
    if (!button) return;
    button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
    const picked = all("[data-kind=compare][aria-pressed=true]", grid).map((part) => part.closest(".tile").dataset.row);
    tray.hidden = picked.length === 0;
    tray.textContent = "One is chosen; choose another to compare it with.";
    if (picked.length === 1) say(tray.textContent);
    if (picked.length === 2) location.href = `${one("#grid").dataset.compare}?row=${picked[0]}&row=${picked[1]}`;
  });
  document.addEventListener("click", (event) => {
    const dot = event.target.closest(".dot");
    const tile = dot && one(`.tile[data-row="${dot.dataset.row}"]`, grid);
    if (tile) { event.preventDefault(); go(tile); tile.scrollIntoView({ block: "center" }); }
  });
}
const roving = () => {
  for (const map of all("[data-linked]")) {
    const dots = all(".dot", map).sort((a, b) => a.dataset.place - b.dataset.place);
    if (!dots.length || map.dataset.ready) continue;
    map.dataset.ready = "1";
    dots[0].setAttribute("tabindex", "0");
    map.addEventListener("keydown", (event) => {
      const place = dots.indexOf(event.target.closest(".dot"));
      const to = { ArrowRight: place + 1, ArrowDown: place + 1, ArrowLeft: place - 1, ArrowUp: place - 1, Home: 0, End: dots.length - 1 }[event.key];
      if (place < 0 || to === undefined || !dots[to]) return;
      event.preventDefault();
      dots[place].setAttribute("tabindex", "-1"); dots[to].setAttribute("tabindex", "0"); dots[to].focus();
    });
  }
};
roving();
document.addEventListener("change", async (event) => {
  const axes = event.target.closest(".axes");
  if (!axes) return;
  const query = new URLSearchParams(new FormData(axes));
  one("#plane").innerHTML = await (await fetch(`${axes.dataset.part}?${query}`)).text();
  roving();
  one(`.axes [name=${event.target.name}]`).focus();
});

/* ---- what an answer rests on ---- */
const waiting = one("#explained[data-ask]");
if (waiting) fetch(waiting.dataset.ask).then((answer) => answer.text()).then((text) => { waiting.innerHTML = text; }, () => { waiting.textContent = "The page is not running any more."; });

/* ---- new patients ---- */
const give = one("#give");
if (give) {
  const refused = one("#refused"), chosen = one("#chosen"), dropped = [];
  const files = () => [...all("input[type=file]", give).flatMap((input) => [...input.files]), ...dropped];
  const tell = () => { const some = files(); chosen.textContent = some.length ? `${some.length} file${some.length > 1 ? "s" : ""}: ${some.slice(0, 4).map((file) => file.name).join(", ")}${some.length > 4 ? ", ..." : ""}` : "Nothing is chosen yet."; };
  give.addEventListener("change", tell);
  give.addEventListener("dragover", (event) => { event.preventDefault(); give.classList.add("over"); });
  give.addEventListener("dragleave", () => give.classList.remove("over"));
  const inside = async (entry) => {
    if (entry.isFile) return [await new Promise((done, failed) => entry.file(done, failed))];
    const reader = entry.createReader(), found = [];
    for (;;) {
      const some = await new Promise((done, failed) => reader.readEntries(done, failed));
      if (!some.length) return found;
      for (const child of some) found.push(...await inside(child));
    }
  };
  give.addEventListener("drop", async (event) => {
    event.preventDefault();
    give.classList.remove("over");
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry && item.webkitGetAsEntry()).filter(Boolean);
    const plainly = [...event.dataTransfer.files];
    if (entries.length) for (const entry of entries) dropped.push(...await inside(entry)); else dropped.push(...plainly);
    tell();
  });
  give.addEventListener("submit", async (event) => {
    event.preventDefault();
    const form = new FormData();
    for (const file of files()) form.append("files", file, file.name);
    refused.replaceChildren();
    chosen.textContent = "The files are being taken in ...";
    let said;
    try {
      const answer = await fetch(give.action, { method: "POST", body: form, headers: { accept: "application/json" } });
      said = (await answer.json()).error;
    } catch (error) { said = "The files could not be sent: they are too large, or the page is not running any more."; }
    if (!said) { location.reload(); return; }
    const text = document.createElement("p");
    text.className = "note message"; text.textContent = said;
    refused.append(text);
    tell();
  });
  const follow = async (item) => {
    const job = await (await fetch(`${base}/new/${item.dataset.job}.json`)).json();
    if (job.state !== "working") { location.reload(); return; }
    one("[data-label]", item).textContent = job.total ? `${job.label}: ${job.done.toLocaleString("en")} of ${job.total.toLocaleString("en")}` : job.label;
    const bar = one("progress", item);
    if (job.total) { bar.max = job.total; bar.value = job.done; } else bar.removeAttribute("value");
    setTimeout(() => follow(item), 700);
  };
  for (const item of all("[data-state=working]")) follow(item);
}
