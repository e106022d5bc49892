// What the pages do beside being read: they are kept up to date, actions ask first and tell
// what came of them, and there are keys for most of it. Without this file all of them work
// as links and forms.
"use strict";
(() => {
  const $ = (s, e = document) => e.querySelector(s), $$ = (s, e = document) => [...e.querySelectorAll(s)];
  const base = document.body.dataset.base, byID = id => document.getElementById(id);
  const el = (tag, text, cls) => { const e = document.createElement(tag); if (text !== undefined) e.textContent = text; if (cls) e.className = cls; return e; };
  const plural = (n, one) => n.toLocaleString("en") + " " + one + (n === 1 ? "" : "s");
  const storeIn = where => ({ get: k => { try { return where().getItem("queuectl-" + k); } catch { return null; } }, set: (k, v) => { try { where().setItem("queuectl-" + k, v); } catch { /* not kept then */ } } });
  const store = storeIn(() => localStorage), tab = storeIn(() => sessionStorage);

  // Times. The server's clock counts: ahead is how far it is before this one.
  let utc = store.get("zone") === "utc", ahead = 0;
  const now = () => Date.now() + ahead;
  const two = n => String(n).padStart(2, "0");
  const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const parts = t => utc ? [t.getUTCFullYear(), t.getUTCMonth(), t.getUTCDate(), t.getUTCHours(), t.getUTCMinutes(), t.getUTCSeconds()] : [t.getFullYear(), t.getMonth(), t.getDate(), t.getHours(), t.getMinutes(), t.getSeconds()];
  const zone = t => { if (utc) return "UTC"; const m = -t.getTimezoneOffset(), a = Math.abs(m); return m === 0 ? "UTC" : "UTC" + (m < 0 ? "−" : "+") + Math.floor(a / 60) + (a % 60 ? ":" + two(a % 60) : ""); };
  const and = (a, x, b, y) => b ? a + " " + x + " " + b + " " + y : a + " " + x;
  const roughly = s => { const m = Math.round(s / 60); return s < 60 ? Math.floor(s) + " s" : m < 60 ? m + " min" : m < 2880 ? and(Math.floor(m / 60), "h", m % 60, "min") : Math.round(s / 86400) + " d"; };
  const span = s => s < 1 ? Math.floor(s * 1000) + " ms" : s < 10 ? Math.floor(s * 10) / 10 + " s" : s < 60 ? Math.floor(s) + " s" : s < 3600 ? and(Math.floor(s / 60), "min", Math.floor(s % 60), "s") : s < 172800 ? and(Math.floor(s / 3600), "h", Math.floor(s % 3600 / 60), "min") : and(Math.floor(s / 86400), "d", Math.floor(s % 86400 / 3600), "h");
  const put = (e, text) => { if (e.textContent !== text) e.textContent = text; };
  function times(root) {
    for (const e of $$("time[data-t]", root)) {
      const t = new Date(e.dateTime), [y, mo, d, h, mi, s] = parts(t), ago = (now() - t) / 1000, abs = Math.abs(ago);
      const day = y + "-" + two(mo + 1) + "-" + two(d), clock = two(h) + ":" + two(mi) + ":" + two(s), whole = day + " " + clock + " " + zone(t);
      if (e.title !== whole) e.title = whole;
      put(e, e.dataset.t === "rel" ? abs < 1 ? "now" : ago < 0 ? "in " + roughly(abs) : roughly(abs) + " ago" : e.dataset.t === "full" ? whole : e.dataset.t === "clock" ? clock : (e.dataset.t === "day" ? months[mo] + " " + d + " " : "") + two(h) + ":" + two(mi));
    }
    for (const e of $$("[data-since]", root)) {
      const s = Math.max((now() - new Date(e.dataset.since)) / 1000, 0), of = Number(e.dataset.limit), bar = $(".bar rect", e);
      put($("[data-run]", e), span(s < 10 ? Math.floor(s) || s : s));
      if (bar && of) { bar.setAttribute("width", String(Math.min(s / of, 1) * 100)); bar.parentNode.classList.toggle("over", s > of * .8); }
    }
  }
  // What only works with this file is shown.
  function dress(root) {
    for (const e of $$("[data-js]", root)) e.hidden = false;
    // Who has it is asked in a dialog, and need not unfold a button first.
    for (const d of $$("details.sure", root)) d.replaceWith($("form,button", d));
    times(root);
  }

  // morph makes an element like a new one and leaves alone whatever is the same: what has
  // the focus, is selected, scrolled, unfolded or ticked stays so.
  const keyOf = e => e.nodeType === 1 ? e.id || e.dataset.k || "" : "";
  function morph(a, b) {
    if (a.nodeType !== 1) { if (a.nodeValue !== b.nodeValue) a.nodeValue = b.nodeValue; return; }
    if (a.isEqualNode(b)) return;
    if (a.hasAttribute("data-keep")) return;
    for (const { name } of [...a.attributes]) if (!b.hasAttribute(name) && !(name === "open" || name === "class" && a.matches("tr,.bulk"))) a.removeAttribute(name);
    for (const { name, value } of [...b.attributes]) if (a.getAttribute(name) !== value && name !== "open" && !(name === "class" && a.matches("tr"))) a.setAttribute(name, value);
    if (a.matches("input,select,textarea")) return;
    const wanted = new Set([...b.childNodes].map(keyOf)), keyed = new Map(), used = new Set();
    for (const c of [...a.childNodes]) { const k = keyOf(c); if (k && !wanted.has(k)) c.remove(); else if (k) keyed.set(k, c); }
    let at = a.firstChild;
    for (const n of [...b.childNodes]) {
      const k = keyOf(n);
      let old = keyed.get(k);
      if (!k) { // the next that looks like it, or else is of its kind
        const free = c => { while (c && keyOf(c)) c = c.nextSibling; return c; };
        for (old = free(at); old && (old.nodeName !== n.nodeName || old.className !== n.className); old = free(old.nextSibling));
        old ||= free(at);
      }
      if (!old || old.nodeName !== n.nodeName) { old = document.importNode(n, true); a.insertBefore(old, at); } else {
        if (old === at) at = at.nextSibling; else a.insertBefore(old, at);
        morph(old, n);
      }
      used.add(old);
    }
    for (const c of [...a.childNodes]) if (!used.has(c)) c.remove();
  }

  // The list of jobs does not move under the hand of who reads or selects there: rows are
  // brought up to date, and that others came is said.
  const list = byID("bulk"), news = byID("news");
  let shown = false;
  const busy = () => list && !shown && (picked().length > 0 || all || scrollY > 160 || list.matches(":hover") || list.contains(document.activeElement) || $("tr.cur", list));
  function hold(fresh) {
    const rows = new Map($$("tbody tr", fresh).map(r => [r.dataset.k, r]));
    let moved = 0, order = [];
    for (const r of $$("tbody tr", list)) {
      const n = rows.get(r.dataset.k);
      r.classList.toggle("gone", !n);
      if (n) { morph(r, n); order.push(r.dataset.k); } else moved++;
    }
    if (order.length !== rows.size || moved || order.join() !== [...rows.keys()].join()) news.hidden = false;
    for (const k of ["total", "filter"]) list.dataset[k] = fresh.dataset[k];
  }
  if (news) byID("news-show").addEventListener("click", () => { clear(); shown = true; document.activeElement.blur(); refresh().finally(() => { shown = false; scrollTo(0, 0); }); });

  // Live.
  const live = byID("live"), pause = byID("pause");
  let source = null, paused = store.get("paused") === "yes", waiting = null, fetching = null, last = Date.now(), gone = false;
  const state = (s, text) => { if (live) { live.dataset.s = s; put(live, text); } };
  async function refresh() {
    if (fetching) { fetching.again = true; return fetching.done; }
    const mine = fetching = { again: false };
    mine.done = (async () => {
      const r = await fetch(location.href, { headers: { "X-Fragment": "1" }, cache: "no-store" });
      const at = Date.parse(r.headers.get("Date") || "");
      if (at && Math.abs(at - now()) > 3000) ahead = at - Date.now();
      if (r.status === 401) { location.reload(); return; }
      if (r.status === 404) { gone = true; close(); state("lost", "It is not there any more"); return; }
      if (!r.ok && r.status !== 400) throw new Error(r.status);
      const doc = new DOMParser().parseFromString(await r.text(), "text/html");
      dress(doc);
      for (const fresh of $$("[data-live]", doc)) {
        const old = $('[data-live="' + CSS.escape(fresh.dataset.live) + '"]');
        if (!old) { place(fresh); continue; }
        if (old === list && busy()) { hold(fresh); continue; }
        if (old === list) { news.hidden = true; for (const e of $$("tr.gone", list)) e.classList.remove("gone"); }
        const log = $("[data-follow]", old), end = log && log.scrollHeight - log.scrollTop - log.clientHeight < 24;
        morph(old, fresh);
        if (end) log.scrollTop = log.scrollHeight;
      }
      for (const e of $$("main [data-live]")) if (!$('[data-live="' + CSS.escape(e.dataset.live) + '"]', doc)) e.remove();
      marks();
    })();
    try { await mine.done; last = Date.now(); } finally { fetching = null; }
    if (mine.again) soon();
  }
  // place puts a part that was not there before where the new page has it.
  function place(fresh) {
    const before = fresh.previousElementSibling, name = before?.dataset?.live;
    const prior = name && $('[data-live="' + CSS.escape(name) + '"]');
    if (prior) prior.after(document.importNode(fresh, true));
  }
  const soon = () => { waiting ||= setTimeout(() => { waiting = null; refresh().catch(lost); }, Math.max(0, Math.min(1000, 1000 - (Date.now() - last)))); };
  const lost = () => { if (!paused && !gone) state("lost", "Connection lost, trying again"); };
  function open() {
    close();
    if (paused) { state("paused", "Paused"); return; }
    if (document.hidden || gone || !window.EventSource) return;
    source = new EventSource(base + "/events?version=" + ($("[data-version]")?.dataset.version || 0));
    source.onopen = () => { state("live", "Live"); if (Date.now() - last > 20000) soon(); };
    source.addEventListener("change", soon);
    // An answer that is none ends it for good: it is asked again all the same.
    source.onerror = () => { lost(); if (source && source.readyState === 2) { const s = source; setTimeout(() => { if (s === source) open(); }, 3000); } };
  }
  function close() { if (source) source.close(); source = null; }
  function toggle() {
    paused = !paused; store.set("paused", paused ? "yes" : "no");
    put(pause, paused ? "Resume" : "Pause");
    open();
    if (!paused) refresh().catch(lost);
  }
  document.addEventListener("visibilitychange", () => { if (document.hidden) { close(); if (!paused) state("off", "Not watched"); } else open(); });
  addEventListener("pagehide", close);
  addEventListener("pageshow", e => { if (e.persisted) open(); });
  // What a job writes is no change of the queue: it is looked at while one looks.
  setInterval(() => { if (!document.hidden && !paused && !gone && $("[data-tail]")) soon(); }, 1500);
  setInterval(() => {
    if (document.hidden) return;
    const asOf = $("time[data-t=clock]");
    // While the stream is open and silent the page is as of now. Heartbeats are no news, and looked at now and then.
    if (asOf && source?.readyState === 1 && !$("[data-version][data-polled]")) asOf.dateTime = new Date(now()).toISOString();
    if (source?.readyState === 1 && Date.now() - last > 15000) soon();
    times(document);
  }, 1000);

  // Selection.
  let all = false, lastBox = null;
  const boxes = () => list ? $$("tbody input[type=checkbox]", list) : [];
  const picked = () => boxes().filter(b => b.checked);
  function marks() {
    goOn();
    if (!list) return;
    const bs = boxes(), n = bs.filter(b => b.checked).length, total = Number(list.dataset.total) || 0, bar = byID("bulkbar");
    for (const b of bs) b.closest("tr").classList.toggle("sel", b.checked);
    if (!bar) return;
    const top = byID("all");
    if (top) { top.checked = bs.length > 0 && n === bs.length; top.indeterminate = n > 0 && n < bs.length; }
    if (n < bs.length) all = false;
    bar.classList.toggle("on", n > 0);
    put(byID("picked"), all ? (total ? "All " + plural(total, "job") + " that match" : "All that match the filter") : n ? plural(n, "job") + " selected" : "With the selected:");
    const more = byID("pickall");
    more.hidden = all || !(n > 0 && n === bs.length && (total > n || !list.dataset.total));
    put(more, total ? "Select all " + total.toLocaleString("en") + " that match the filter" : "Select all that match the filter");
    byID("unpick").hidden = n === 0;
    const states = all ? null : new Set(bs.filter(b => b.checked).map(b => b.closest("tr").dataset.s));
    for (const b of $$("[data-bulk],#bulk-set", bar)) {
      const why = n === 0 ? "Select jobs first" : states && b.dataset.for && !b.dataset.for.split(" ").some(s => states.has(s)) ? b.dataset.not : "";
      b.setAttribute("aria-disabled", String(why !== "")); b.title = why;
    }
  }
  // Where nothing was found yet and there is more to read, it goes on by itself, for a while.
  let going = 25, moving = false;
  async function goOn() {
    const to = byID("goon");
    document.body.classList.toggle("going", Boolean(to && going > 0 && !paused));
    if (!to || moving || going <= 0 || paused || document.hidden) return;
    moving = true;
    try { await new Promise(r => setTimeout(r, 150)); if (going-- > 0) { history.replaceState(null, "", to.href); shown = true; await refresh(); } } catch { going = 0; lost(); } finally { moving = false; shown = false; }
    goOn();
  }
  function clear() { all = false; for (const b of boxes()) b.checked = false; marks(); }
  if (list) {
    list.addEventListener("change", e => {
      if (e.target.id === "all") for (const b of boxes()) b.checked = e.target.checked;
      marks();
    });
    list.addEventListener("click", e => {
      const b = e.target.closest("tbody input[type=checkbox]");
      if (b) {
        if (e.shiftKey && lastBox?.isConnected) { const bs = boxes(); let [i, j] = [bs.indexOf(lastBox), bs.indexOf(b)]; if (i > j) [i, j] = [j, i]; for (const x of bs.slice(i, j + 1)) x.checked = b.checked; marks(); }
        lastBox = b;
      }
      if (e.target.id === "pickpage") { for (const x of boxes()) x.checked = true; marks(); }
      if (e.target.id === "goon-stop") { going = 0; goOn(); }
      if (e.target.id === "pickall") { all = true; marks(); }
      if (e.target.id === "unpick") clear();
      if (e.target.id === "bulk-set") bulkSet();
    });
  }

  // Dialogs and messages.
  function ask(title, body, yes, danger) {
    const d = byID("ask"), button = byID("ask-yes"), into = byID("ask-body");
    put(byID("ask-title"), title);
    into.replaceChildren(...(Array.isArray(body) ? body : [el("p", body)]));
    put(button, yes);
    button.classList.toggle("danger", !!danger);
    d.returnValue = "";
    d.showModal();
    return new Promise(done => d.addEventListener("close", () => done(d.returnValue === "yes"), { once: true }));
  }
  // A message that is for the page after this one is kept for it.
  function toast(text, bad, lines, later) {
    if (later) { tab.set("told", text); return; }
    const t = el("div", undefined, "toast" + (bad ? " bad" : "")), box = el("div"), x = el("button", "Close", "bare");
    box.append(el("div", text));
    if (lines?.length) { const ul = el("ul"); ul.append(...lines.slice(0, 50).map(l => el("li", l))); box.append(ul); }
    x.type = "button"; x.onclick = () => t.remove();
    t.append(box, x);
    byID("toasts").append(t);
    if (!bad) setTimeout(() => t.remove(), 6000);
  }
  async function post(url, body) {
    const r = await fetch(url, { method: "POST", headers: { "Content-Type": "application/json", Accept: "application/json" }, body: JSON.stringify(body) });
    return [r, await r.json().catch(() => ({}))];
  }
  // What becomes of what an action was done to.
  const words = { Retry: "retried", Cancel: "cancelled", Delete: "deleted", Hold: "held", Release: "released", "Run now": "due now", Change: "changed", Send: "sent a signal", Pause: "it is paused", Resume: "it takes jobs again", Save: "saved", Limit: "it holds from now on", Enqueue: "enqueued", Drain: "asked to end", Stop: "asked to end", "Drain all": "asked to end", "Stop all": "asked to end" };
  async function call(url, body, label, leaves) {
    try {
      const [r, a] = await post(url, body);
      const failures = (a.results || []).filter(x => x.error);
      if (failures.length || a.failed) toast(label + ": " + (a.done ? plural(a.done, "job") + " done, " : "") + (a.failed || failures.length).toLocaleString("en") + " failed", true, failures.map(x => { const id = x.id || x.worker || ""; const e = x.error.replace(/: wrong state$/, ""); return e.includes(id) ? e : id + ": " + e; }));
      else if (!r.ok || a.error) toast(label + ": " + String(a.error || r.statusText).replace(/: wrong state$/, ""), true);
      else {
        for (const t of $$(".toast.bad")) t.remove();
        const r = a.results?.[0], word = words[label.replace(/ [\d,]+ jobs?$/, "")] || "done";
        toast(!("done" in a) ? (label === "Enqueue" ? "Job " + a.id : label) + ": " + word : a.done === 0 ? label + ": there was nothing to do" : (a.done === 1 && r?.id ? "Job " + r.id : plural(a.done, "job")) + ": " + (r?.result === "asked" ? "asked to end" : word), false, [], leaves);
      }
      return r.ok ? a : null;
    } catch { toast(label + ": the server does not answer", true); return null; }
    finally { if (!leaves) refresh().catch(lost); }
  }
  const fields = f => { const o = {}; for (const [k, v] of new FormData(f)) if (k !== "back") o[k] = v; return o; };
  function typed(o) {
    const b = {};
    for (const [k, v] of Object.entries(o)) if (v !== "") b[k] = v === "true" ? true : v === "false" ? false : k === "priority" ? Number(v) : v;
    return b;
  }
  // A filter that says nothing means all jobs only if that is said as well.
  const filter = () => { const f = JSON.parse(list.dataset.filter); return Object.keys(f).length ? { filter: f } : { filter: f, all: true }; };
  // Who is meant by an action, and how many: of all that match, those that it is for. What
  // comes to match meanwhile is not meant.
  async function meant(url, more) {
    if (!all) return [{ ids: picked().map(b => { const i = b.value.indexOf("/"); return { queue: b.value.slice(0, i), id: b.value.slice(i + 1) }; }) }, picked().length];
    const [r, a] = await post(url, { ...filter(), ...more, dry_run: true });
    if (!r.ok) throw new Error(a.error || r.statusText);
    return a.exact === false ? [filter(), a.matched, true] : [{ ...filter(), expect: a.matched }, a.matched];
  }
  async function bulk(button) {
    const label = button.dataset.bulk, url = base + "/api/v1/jobs/" + label.toLowerCase().replace(" ", "-");
    if (button.getAttribute("aria-disabled") === "true") { toast(button.title, true); return; }
    let who, n, least;
    if (all) put(byID("picked"), "Counting…");
    button.setAttribute("aria-busy", "true");
    try { [who, n, least] = await meant(url); } catch (e) { toast(label + ": " + e.message, true); return; } finally { button.removeAttribute("aria-busy"); marks(); }
    if (!n) { toast(label + ": no job that matches is in a state for that", true); return; }
    const count = (least ? "at least " : "") + plural(n, "job");
    const what = { Delete: "They are deleted with their output and records. Nothing brings them back.", Cancel: "Those that wait do not run any more; those that run are stopped.", Retry: "They are due at once, with all their retries.", Hold: "They wait until somebody releases them.", Release: "They run when they are due.", "Run now": "They are due at once." }[label];
    if (!await ask(label + " " + count + "?", what + (all ? " All that match the filter and are in a state for it are meant, also on other pages." : " Those in a state that does not allow it are left as they are, and named."), label + " " + count, button.classList.contains("danger"))) return;
    button.setAttribute("aria-busy", "true");
    if (await call(url, who, label)) clear();
    button.removeAttribute("aria-busy");
  }
  async function bulkSet() {
    if (!picked().length) return;
    const url = base + "/api/v1/jobs/set", field = (name, text, hint) => { const l = el("label"), i = el("input"); i.name = name; i.type = "text"; i.placeholder = hint; l.append(el("span", text), i); return l; };
    const p = field("priority", "Priority, from -999 to 999", "as it is"), t = field("run_at", "Not before", "+10m, or 2030-01-02T03:00");
    let who, n, least;
    if (all) put(byID("picked"), "Counting…");
    try { [who, n, least] = await meant(url, { priority: 0 }); } catch (e) { toast("Change: " + e.message, true); return; } finally { marks(); }
    if (!n) { toast("Change: no job that matches waits", true); return; }
    const what = "Change " + (least ? "at least " : "") + plural(n, "job");
    if (!await ask(what, [p, t], what)) return;
    if (await call(url, { ...who, ...typed({ priority: $("input", p).value, run_at: $("input", t).value }) }, "Change")) clear();
  }
  document.addEventListener("submit", async e => {
    const f = e.target, button = e.submitter;
    if (f === list && button?.dataset.bulk) { e.preventDefault(); bulk(button); return; }
    if (!f.dataset.act) return;
    e.preventDefault();
    const label = f.dataset.act;
    if (f.dataset.ask && !await ask(f.dataset.ask.split("?")[0] + "?", f.dataset.ask.split("?").slice(1).join("?").trim(), label, "danger" in f.dataset)) return;
    const given = fields(f), adds = label === "Enqueue", q = given.queue;
    if (adds) delete given.queue;
    const body = adds ? { ...typed(given), command: given.command } : label === "Save" || label === "Limit" ? given : f.dataset.body ? JSON.parse(f.dataset.body) : typed(given);
    const leaves = label === "Delete" && document.body.dataset.page === "job"; // there is no such page then
    if (leaves) close();
    const a = await call(f.action + (adds && q ? "?queue=" + encodeURIComponent(q) : ""), body, label, leaves);
    if (a && adds) f.reset();
    if (leaves) { if (a && !a.failed) location.href = tab.get("list") || base + "/jobs"; else open(); }
    if (a) { const d = f.closest("details"); if (d && (label === "Pause" || label === "Limit")) d.open = false; }
  });
  // What a graph shows under the pointer. The table below it says the same to who has none.
  const read = el("div", "", "read");
  read.hidden = true; read.ariaHidden = "true";
  document.body.append(read);
  function readOut(e) {
    const plot = e.target.closest?.(".graph .plot");
    $("path.mark")?.remove();
    if (!plot) { read.hidden = true; return; }
    const box = plot.getBoundingClientRect(), n = Number(plot.dataset.n), i = Math.min(Math.max(Math.floor((e.clientX - box.left) / box.width * n), 0), n - 1);
    const at = el("time"), figure = plot.closest("figure"), row = $(`tr[data-i="${i}"]`, figure), keys = $$("thead th", figure).slice(1), mark = document.createElementNS(plot.namespaceURI, "path");
    at.dateTime = new Date(Date.parse(plot.dataset.from) + i * 1000 * plot.dataset.step).toISOString();
    at.dataset.t = plot.dataset.step * n > 90000 ? "day" : "tick";
    read.replaceChildren(at, ...(row ? $$("td", row).map((d, k) => el("div", keys[k].textContent + " " + d.textContent)) : [el("div", "nothing")]));
    times(read);
    mark.setAttribute("class", "mark"); mark.setAttribute("d", "M" + (i + .5) * 600 / n + " 0V100");
    plot.append(mark);
    read.hidden = false;
    read.style.left = Math.max(0, Math.min(e.clientX + 14, innerWidth - read.offsetWidth - 8)) + "px";
    read.style.top = box.top + scrollY - 6 + "px";
  }
  for (const event of ["pointermove", "pointerdown", "pointerleave"]) document.addEventListener(event, readOut);
  document.addEventListener("click", async e => {
    const t = e.target;
    if (t.closest?.("[data-why]")) toast(t.closest("[data-why]").dataset.why, true);
    const copy = t.closest?.("[data-copy]");
    if (copy) {
      const from = copy.dataset.copy ? $(copy.dataset.copy) : $("pre", copy.parentNode), text = from.textContent;
      try { await navigator.clipboard.writeText(text); } catch { const r = document.createRange(); r.selectNodeContents(from); getSelection().removeAllRanges(); getSelection().addRange(r); }
      put(copy, "Copied"); setTimeout(() => put(copy, "Copy"), 1500);
    }
    const row = t.closest?.("tr[data-href]");
    if (row && !t.closest("a,button,input,summary,label,details") && !String(getSelection())) { if (e.ctrlKey || e.metaKey) window.open(row.dataset.href); else location.href = row.dataset.href; }
  });

  // Keys.
  let g = 0;
  const rows = () => $$("main tbody tr[data-href]").filter(r => r.offsetParent);
  function go(by) {
    const rs = rows(), at = rs.findIndex(r => r.classList.contains("cur")), r = rs[Math.min(Math.max(at < 0 ? (by > 0 ? 0 : rs.length - 1) : at + by, 0), rs.length - 1)];
    if (!r) return;
    for (const o of rs) o.classList.toggle("cur", o === r);
    ($("a.id", r) || r).focus({ preventScroll: true });
    r.scrollIntoView({ block: "nearest" });
  }
  const places = { o: "/", j: "/jobs", d: "/dead", q: "/queues", w: "/workers" };
  document.addEventListener("keydown", e => {
    if (e.ctrlKey || e.metaKey || e.altKey || e.isComposing) return;
    const typing = e.target.matches?.("input:not([type=checkbox]),select,textarea");
    if (e.key === "Escape") { if (typing) e.target.blur(); else if (!$("dialog[open]")) { clear(); for (const r of $$("tr.cur")) r.classList.remove("cur"); } return; }
    if (typing || $("dialog[open]")) return;
    if (Date.now() - g < 1200 && places[e.key]) { g = 0; location.href = base + places[e.key]; e.preventDefault(); return; }
    g = 0;
    const cur = $("tr.cur");
    switch (e.key) {
      case "g": g = Date.now(); break;
      case "/": { const f = byID("find"); if (f) { f.focus(); f.select(); } else location.href = base + "/jobs#find"; break; }
      case "j": go(1); break;
      case "k": go(-1); break;
      case "x": { const b = cur && $("input[type=checkbox]", cur); if (b) { b.checked = !b.checked; marks(); } break; }
      case "Enter": if (!cur || e.target.matches("button,summary,input,a:not(.id)")) return; location.href = cur.dataset.href; break;
      case "r": toggle(); break;
      case "t": flip(); break;
      case "?": byID("keys").showModal(); break;
      default: return;
    }
    e.preventDefault();
  });
  const zoneButton = byID("zone");
  function flip() { utc = !utc; store.set("zone", utc ? "utc" : "local"); put(zoneButton, utc ? "UTC" : "Local"); times(document); }

  if (document.body.dataset.page === "jobs") tab.set("list", base + "/jobs" + location.search);
  if (tab.get("told")) { toast(tab.get("told")); tab.set("told", ""); }
  dress(document);
  if (zoneButton) {
    put(zoneButton, utc ? "UTC" : "Local"); zoneButton.addEventListener("click", flip);
    put(pause, paused ? "Resume" : "Pause"); pause.addEventListener("click", toggle);
    byID("help").addEventListener("click", () => byID("keys").showModal());
    for (const l of $$("[data-follow]")) l.scrollTop = l.scrollHeight;
    marks();
    if (location.hash === "#find") byID("find")?.focus();
    open();
  }
})();
