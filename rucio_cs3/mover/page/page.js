// Everything that comes from the mover is put in as text, never as HTML. Rows stay where they are and are changed only
// where something is new, so that nothing flickers and whoever has the focus in one keeps it.

const HOME = new URL("../../", location.href);
const EVERY = 3000;  // ms between looks, more where the mover is slow
const SHOWN = 500;  // files of a job
const ENDED = new Set(["FINISHED", "FAILED", "CANCELED", "FINISHEDDIRTY"]);
const ORDER = ["FAILED", "ACTIVE", "SUBMITTED", "CANCELED", "FINISHED", "NOT_USED"];
const MEANING = { WAITING: "waiting to be tried again", NOT_USED: "not needed so far", FINISHEDDIRTY: "finished in part" };
const FIELDS = "file_id,file_index,file_state,source_surl,dest_surl,user_filesize,filesize,transferred,reason,finish_time";
const SVG = "http://www.w3.org/2000/svg";

const $ = (id) => document.getElementById(id);

/* What people read */

function bytes(count) {
  let power = 0;
  for (; count >= 1023.5 && power < 5; power += 1) count /= 1024;
  return power ? `${count.toFixed(1)} ${" KMGTP"[power]}iB` : `${Math.round(count)} B`;
}

const rate = (count) => `${bytes(count)}/s`;
const time = (utc) => (utc ? utc.replace("T", " ") : "");
const number = (count) => count.toLocaleString("en");
const some = (count, tell = number) => (count ? tell(count) : "");
const name = (url) => url.split("?")[0];
const last = (url) => name(url).split("/").pop() || name(url);

function span(seconds) {
  const whole = Math.round(seconds);
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return (parts[0] ? parts : parts.slice(1)).map((part, n) => (n ? String(part).padStart(2, "0") : part)).join(":");
}

/* Elements */

function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function set(node, attribute, value) {
  if (node.getAttribute(attribute) !== String(value)) node.setAttribute(attribute, value);
}

function child(node, place, tag, className = "") {
  while (node.children.length <= place) {
    node.append(Object.assign(document.createElement(tag), { className }));
  }
  return node.children[place];
}

function drop(node, from) {
  while (node.children.length > from) node.lastElementChild.remove();
}

const cell = {
  text: (tell) => (td, item) => say(td, tell(item)),
  number: (tell) => Object.assign((td, item) => say(td, tell(item)), { kind: "number" }),
  time: (tell) => Object.assign((td, item) => say(td, tell(item)), { kind: "time" }),
  state: (tell, any = () => true) => (td, item) => {
    const state = child(td, 0, "span");
    say(state, tell(item));
    set(state, "class", any(item) ? `state ${tell(item)}` : "state none");
    say(child(td, 1, "small"), MEANING[tell(item)] || "");
  },
  file: (more) => Object.assign((td, item) => {
    const link = child(td, 0, "a", "path");
    set(link, "href", `#/job/${encodeURIComponent(item.job)}`);
    set(link, "title", name(item.file));
    say(link, last(item.file));
    say(child(td, 1, "small", "narrow"), more(item));
  }, { kind: "file" }),
};

function progress(td, done, size, more) {
  const bar = child(td, 0, "progress");
  if (size > 0) {
    set(bar, "max", size);
    set(bar, "value", Math.min(done, size));
  } else {
    bar.removeAttribute("value");
  }
  set(bar, "aria-label", "copied");
  const share = size > 0 ? `${Math.floor(Math.min(done / size, 1) * 100)} % of ${bytes(size)}` : bytes(done);
  say(child(td, 1, "small"), [share, more].filter(Boolean).join(", "));
}

/* Rows by a key: those that stay are changed in place. */

function fill(id, items, key, cells) {
  const body = $(id);
  const wanted = items.map((item) => String(key(item)));
  [...body.rows].filter((row) => !wanted.includes(row.dataset.key)).forEach((row) => row.remove());
  const known = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  items.forEach((item, place) => {
    const row = known.get(wanted[place]) || document.createElement("tr");
    row.dataset.key = wanted[place];
    cells.forEach((show, n) => {
      const td = row.cells[n] || row.insertCell();
      if (show.kind) td.classList.add(show.kind);
      if (show.class) td.classList.add(show.class);
      show(td, item);
    });
    if (body.rows[place] !== row) body.insertBefore(row, body.rows[place] || null);
  });
  const none = $(`no-${id}`);
  if (none) none.hidden = items.length > 0;
}

const wide = (show) => Object.assign(show, { class: "wide" });
const part = (show) => Object.assign(show, { class: "part" });
const between = (item) => `${item.source} → ${item.destination}`;

/* Everything */

async function overview() {
  const told = await ask("status.json");
  if (!told) return;
  say($("name"), told.mover);
  document.title = `Mover: ${number(told.files.ACTIVE)} active, ${number(told.files.SUBMITTED + told.files.WAITING)} waiting`;
  $("ban-part").hidden = !told.banned.length;
  fill("bans", told.banned, (ban) => ban.se, [
    (td, ban) => { say(child(td, 0, "span"), ban.se); say(child(td, 1, "small", "narrow"), time(ban.addition_time)); },
    wide(cell.time((ban) => time(ban.addition_time))),
    cell.text((ban) => ban.message || ""),
  ]);
  fill("states", Object.entries(told.files), (entry) => entry[0], [
    cell.state((entry) => entry[0], (entry) => entry[1] > 0), cell.number((entry) => some(entry[1])),
  ]);
  fill("running", told.running, (copy) => `${copy.file_id} ${copy.mover}`, [
    cell.file(between),
    wide(cell.text(between)),
    part((td, copy) => progress(td, copy.bytes, copy.size, copy.seconds >= 1 ? rate(copy.bytes / copy.seconds) : "")),
    wide(cell.number((copy) => span(copy.seconds))),
  ]);
  fill("links", told.links, between, [
    cell.text(between),
    cell.number((link) => some(link.active)),
    cell.number((link) => some(link.waiting)),
    cell.number((link) => some(link.rate, rate)),
  ]);
  fill("failures", told.failures, (failure) => failure.file_id, [
    wide(cell.time((failure) => time(failure.time))),
    cell.file((failure) => time(failure.time)),
    cell.text((failure) => failure.reason || ""),
  ]);
  plot(told.flow);
}

/* The plot: rates of the last hour, each over so many seconds; the last one is of now. */

const LEFT = 84, RIGHT = 4, TOP = 10, BOTTOM = 28;  // margins

function plot(flow) {
  const svg = $("plot");
  show("overview");  // it has no size before
  const right = svg.clientWidth - RIGHT;
  const bottom = svg.clientHeight - BOTTOM;
  const most = Math.max(...flow.rates);
  say($("rate"), `${rate(flow.rates[flow.rates.length - 1])} now, ${rate(most)} at most, ${bytes(flow.bytes)} copied`);
  const top = scale(most);
  const x = (place) => LEFT + ((right - LEFT) * place) / (flow.rates.length - 1);
  const y = (value) => bottom - ((bottom - TOP) * value) / top;
  const points = flow.rates.map((value, place) => `${x(place).toFixed(1)},${y(value).toFixed(1)}`);
  const minutes = Math.round((flow.rates.length * flow.seconds) / 60);
  const marks = [0, 0.5, 1].flatMap((share) => [
    ["line", { class: "grid", x1: LEFT, x2: right, y1: y(top * share), y2: y(top * share) }],
    ["text", { x: LEFT - 8, y: y(top * share) + 4, "text-anchor": "end" }, share ? rate(top * share) : "0"],
  ]);
  const ticks = [0, 0.5, 1].map((share) => [
    "text",
    { x: LEFT + (right - LEFT) * share, y: bottom + 20, "text-anchor": ["start", "middle", "end"][share * 2] },
    share < 1 ? `${minutes * (1 - share)} min ago` : "now",
  ]);
  draw(svg, [
    ...marks,
    ...ticks,
    ["path", { class: "area", d: `M${LEFT},${bottom} L${points.join(" L")} L${right},${bottom} Z` }],
    ["path", { class: "curve", d: `M${points.join(" L")}` }],
  ]);
}

function scale(most) {
  // to 1, 2, 4, 8 … of its unit, so that the scale has short names
  const unit = 1024 ** Math.max(0, Math.floor(Math.log2(Math.max(most, 1024)) / 10));
  return unit * 2 ** Math.ceil(Math.log2(Math.max(most / unit, 1)));
}

function draw(svg, parts) {
  parts.forEach(([tag, attributes, text], place) => {
    let node = svg.children[place];
    if (!node) {
      node = document.createElementNS(SVG, tag);
      svg.append(node);
    }
    Object.entries(attributes).forEach(([key, value]) => set(node, key, value));
    if (text) say(node, text);
  });
}

/* One job */

async function job(id) {
  const told = await ask(`jobs/${encodeURIComponent(id)}?files=${FIELDS}`);
  if (told === undefined) return;
  say($("job-id"), id);
  $("no-job").hidden = told !== null;
  $("job-facts").hidden = $("job-files").hidden = told === null;
  document.title = `Job ${id}${told ? `: ${told.job_state}` : ""}`;
  if (told) facts(told);
  show("job");
  over = !told || ENDED.has(told.job_state);
}

function facts(told) {
  const counts = new Map();
  told.files.forEach((file) => counts.set(file.file_state, (counts.get(file.file_state) || 0) + 1));
  const files = ORDER.filter((state) => counts.has(state)).map((state) => `${number(counts.get(state))} ${state}`);
  const known = [
    ["State", told.job_state], ["Files", files.join(", ")], ["Why", told.reason], ["Submitted (UTC)", time(told.submit_time)],
    ["Ended (UTC)", time(told.job_finished)], ["Priority", String(told.priority)], ["Asked by", `${told.user_dn}, VO ${told.vo_name}`],
  ].filter(([, value]) => value);
  const body = $("facts");
  known.forEach(([title, value], place) => {
    const row = child(body, place, "tr");
    const th = child(row, 0, "th");
    set(th, "scope", "row");
    say(th, title);
    const td = child(row, 1, "td");
    set(td, "class", title === "State" ? `state ${value}` : "");
    say(td, value);
  });
  drop(body, known.length);
  const sorted = [...told.files].sort(
    (a, b) => ORDER.indexOf(a.file_state) - ORDER.indexOf(b.file_state) || a.file_index - b.file_index,
  );
  $("shown").hidden = sorted.length <= SHOWN;
  say($("shown"), `${number(SHOWN)} of ${number(sorted.length)} are shown: first those that failed, then those that are copied.`);
  fill("files", sorted.slice(0, SHOWN), (file) => `${file.file_id} ${file.source_surl}`, [
    (td, file) => {
      say(child(td, 0, "span", "path"), name(file.dest_surl));
      say(child(td, 1, "small"), `from ${name(file.source_surl)}`);
      say(child(td, 2, "small", "narrow reason"), file.reason || "");
    },
    cell.state((file) => file.file_state),
    part(shownProgress),
    wide(cell.text((file) => file.reason || "")),
  ]);
}

function shownProgress(td, file) {
  if (file.file_state === "ACTIVE") {
    if (!td.firstElementChild) td.textContent = "";
    progress(td, file.transferred || 0, file.user_filesize, "");
    return;
  }
  const size = file.file_state === "FINISHED" ? file.filesize : file.user_filesize;
  say(td, size === null || size === undefined ? "" : bytes(size));
}

/* Asking, again and again */

let timer;
let over = false;  // what is shown does not change any more
let question = 0;  // the number of the last question, for answers that come too late

async function ask(path) {
  const mine = question;
  const answer = await fetch(new URL(path, HOME), { headers: { Accept: "application/json" } });
  if (mine !== question) return undefined;
  if (answer.status === 403 || answer.status === 401) {
    say($("address"), HOME.href.replace(/\/$/, ""));
    show("stranger");
    over = true;
    throw new Error("The mover does not know who asks");
  }
  if (answer.status === 404) return null;
  if (!answer.ok) throw new Error(`The mover answers HTTP ${answer.status}`);
  return answer.json();
}

function show(view) {
  ["loading", "overview", "job", "stranger"].forEach((id) => { $(id).hidden = id !== view; });
}

function news(text, bad) {
  say($("news"), text);
  $("news").classList.toggle("bad", bad);
  $("main").classList.toggle("old", bad && $("stranger").hidden);
}

async function look() {
  clearTimeout(timer);
  question += 1;
  const mine = question;
  const began = performance.now();
  over = false;
  try {
    const found = /^#\/job\/([^/]+)$/.exec(location.hash);
    await (found ? job(decodeURIComponent(found[1])) : overview());
    if (mine === question) news("", false);
  } catch (error) {
    if (mine === question) news(error instanceof TypeError ? "The mover does not answer; asking again" : error.message, true);
  }
  if (mine !== question || over || document.hidden || paused()) return;
  timer = setTimeout(look, Math.max(EVERY, 10 * (performance.now() - began)));
}

const paused = () => $("pause").getAttribute("aria-pressed") === "true";

$("pause").addEventListener("click", () => {
  set($("pause"), "aria-pressed", !paused());
  look();
});

$("skip").addEventListener("click", (event) => {
  event.preventDefault();  // the address names the job
  $("main").focus();
});

addEventListener("hashchange", async () => {
  await look();
  const heading = document.querySelector("main > :not([hidden]) h2[tabindex]");
  if (heading) heading.focus();
});

document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
show("loading");
look();
