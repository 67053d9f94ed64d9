"use strict";
(() => {
  const PAGES = [25, 50, 100, 250];
  const MONTHS_BACK = 36;
  const data = JSON.parse(document.getElementById("tables").textContent);
  const { meta, columns, grids } = data;
  let details = null; // read when the first card is opened
  const cardBox = document.getElementById("card");
  const collator = new Intl.Collator("en", { numeric: true });
  const moneyForm = new Intl.NumberFormat("en-US", { minimumFractionDigits: meta.digits, maximumFractionDigits: meta.digits });
  const countForm = new Intl.NumberFormat("en-US");
  const numberForm = new Intl.NumberFormat("en-US", { maximumFractionDigits: 1 });
  const NONE = "–";

  // Text reaches the page through textContent and setAttribute only: names are text, never markup.
  function make(tag, attributes, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (name === "text") node.textContent = value;
      else if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children);
    return node;
  }
  const bdi = (text) => make("bdi", { text });
  function cut(text, most) {
    if (text.length <= most) return text;
    return Array.from(text.slice(0, most + 2)).slice(0, most).join("") + "…";
  }

  function columnOf(key) {
    return columns[key] || (details && details.columns[key]);
  }
  function valueOf(key, row) {
    const column = columnOf(key);
    if (!column) return null;
    if (column.numbers) return column.numbers[row];
    if (column.texts) return column.texts[row];
    if (column.days) return column.days[row];
    const code = column.codes[row];
    return code < 0 ? null : column.labels[code];
  }
  function dayText(daysAgo) {
    const day = new Date(meta.asOf + "T00:00:00Z");
    day.setUTCDate(day.getUTCDate() - daysAgo);
    return day.toISOString().slice(0, 10);
  }
  function shareText(share) {
    return share > 0 && share < 0.005 ? "<1 %" : share < 1 && share > 0.995 ? ">99 %" : Math.round(100 * share) + " %";
  }
  function written(kind, value) {
    if (value === null || value === undefined || value === "") return NONE;
    if (kind === "money" || kind === "band") return moneyForm.format(value);
    if (kind === "count") return countForm.format(value);
    if (kind === "number") return numberForm.format(value);
    if (kind === "share") return shareText(value);
    if (kind === "day") return dayText(value);
    return String(value);
  }
  function nameOf(row) {
    const name = valueOf("name", row);
    return name === null || name === "" ? valueOf("customer_id", row) : name;
  }

  /* Search: all words must occur, whatever their case and accents. */
  let haystack = null;
  const folded = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
  function searchable() {
    if (haystack) return haystack;
    const keys = ["customer_id", "name", "owner", "cell", "person"].concat(Object.keys(columns).filter((k) => k.startsWith("attribute: ")));
    const parts = keys.filter((key) => columns[key]).map((key) => {
      const column = columns[key];
      if (column.labels) {
        const labels = column.labels.map(folded);
        return (row) => (column.codes[row] < 0 ? "" : labels[column.codes[row]]);
      }
      return (row) => folded(String(valueOf(key, row) ?? ""));
    });
    haystack = new Array(meta.rows);
    for (let row = 0; row < meta.rows; row += 1) haystack[row] = parts.map((part) => part(row)).join("\n");
    return haystack;
  }

  function sortedRows(rows, key, down) {
    const column = columnOf(key);
    const kept = [];
    const empty = [];
    let sortable = null;
    if (column.labels) {
      const place = column.labels.map((_, code) => code).sort((a, b) => collator.compare(column.labels[a], column.labels[b]));
      const rank = new Array(place.length);
      place.forEach((code, at) => { rank[code] = at; });
      sortable = (row) => (column.codes[row] < 0 || column.labels[column.codes[row]] === "" ? null : rank[column.codes[row]]);
    } else if (column.texts && !(key === "customer_id" && meta.numericIds)) {
      for (const row of rows) (column.texts[row] ? kept : empty).push(row);
      kept.sort((a, b) => (down ? -1 : 1) * collator.compare(column.texts[a], column.texts[b]) || a - b);
      return kept.concat(empty);
    } else {
      sortable = (row) => { const value = valueOf(key, row); return value === null ? null : Number(value); };
    }
    const values = new Float64Array(meta.rows);
    for (const row of rows) {
      const value = sortable(row);
      if (value === null || Number.isNaN(value)) empty.push(row);
      else { values[row] = value; kept.push(row); }
    }
    kept.sort((a, b) => (down ? values[b] - values[a] : values[a] - values[b]) || a - b);
    return kept.concat(empty);
  }

  /* One table of accounts: search, filters, sorted heads, pages. */
  class Accounts {
    constructor(box, name) {
      this.view = grids[name];
      this.name = name;
      this.all = this.view.rows || Array.from({ length: meta.rows }, (_, row) => row);
      this.sort = this.view.sort;
      this.down = this.view.down;
      this.page = 0;
      this.size = PAGES[0];
      this.chosen = new Map();
      this.words = [];
      this.onlyPersons = false;
      this.build(box);
      this.update();
    }

    build(box) {
      const caption = box.dataset.caption;
      const search = make("input", { type: "search", autocomplete: "off", spellcheck: "false", id: "search-" + this.name });
      let waiting = 0;
      search.addEventListener("input", () => {
        clearTimeout(waiting);
        waiting = setTimeout(() => { this.words = folded(search.value).split(/\s+/).filter(Boolean); this.page = 0; this.update(); search.dataset.done = search.value; }, 60);
      });
      const tools = make("div", { class: "tools" }, make("label", {}, "search accounts", search));
      this.selects = new Map();
      for (const key of this.view.filters) tools.append(this.filter(key));
      if (this.name === "ranking" && columns.person && columns.person.labels && columns.person.labels.some(Boolean)) {
        this.tick = make("input", { type: "checkbox", id: "only-persons" });
        this.tick.addEventListener("change", () => { this.onlyPersons = this.tick.checked; this.page = 0; this.update(); });
        tools.append(make("label", { class: "tick" }, this.tick, "only those that need a person"));
      }
      this.status = make("p", { class: "status", role: "status" });
      this.back = make("button", { type: "button", class: "plain", text: "back" });
      this.next = make("button", { type: "button", class: "plain", text: "next" });
      this.back.addEventListener("click", () => { this.page -= 1; this.draw(); });
      this.next.addEventListener("click", () => { this.page += 1; this.draw(); });
      const size = make("select", { id: "size-" + this.name }, ...PAGES.map((rows) => make("option", { value: String(rows), text: String(rows) })));
      size.addEventListener("change", () => { this.size = Number(size.value); this.page = 0; this.draw(); });
      const table = make("table", { class: "accounts" }, make("caption", {}, make("span", { text: caption + (meta.currency ? ", money in " + meta.currency : "") })));
      const heads = make("tr", {});
      this.heads = new Map();
      for (const column of this.view.columns) {
        const button = make("button", { type: "button", text: column.head, title: column.tip || null });
        const style = [column.key === "customer_id" ? "who" : "", isNumber(column.kind) ? "n" : ""].join(" ").trim();
        const head = make("th", { scope: "col", class: style || null }, button);
        button.addEventListener("click", () => this.sortBy(column));
        this.heads.set(column.key, head);
        heads.append(head);
      }
      this.body = make("tbody", {});
      this.body.addEventListener("click", (event) => {
        const button = event.target.closest("button.open");
        if (button) openCard(Number(button.dataset.row), this, button);
      });
      table.append(make("thead", {}, heads), this.body);
      box.append(tools, make("div", { class: "pager" }, this.status, this.back, this.next, make("label", { class: "size" }, "rows ", size)),
        make("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": caption }, table));
    }

    filter(key) {
      const column = columns[key];
      const select = make("select", {}, make("option", { value: "", text: "all" }));
      const order = column.labels.map((_, code) => code).sort((a, b) => collator.compare(column.labels[a], column.labels[b]));
      for (const code of order) select.append(make("option", { value: String(code), text: cut(column.labels[code], 60) }));
      select.addEventListener("change", () => {
        if (select.value === "") this.chosen.delete(key);
        else this.chosen.set(key, Number(select.value));
        this.page = 0;
        this.update();
      });
      this.selects.set(key, select);
      const shown = key.replace(/^attribute: /, "").replace(/_/g, " ");
      return make("label", {}, shown, select);
    }

    sortBy(column) {
      if (this.sort === column.key) this.down = !this.down;
      else { this.sort = column.key; this.down = isNumber(column.kind) && column.key !== "rank"; }
      this.page = 0;
      this.update();
    }

    update() {
      const key = this.sort + (this.down ? " down" : " up");
      if (this.ordered !== key) { this.order = sortedRows(this.all, this.sort, this.down); this.ordered = key; }
      const words = this.words;
      const texts = words.length ? searchable() : null;
      const chosen = [...this.chosen].map(([name, code]) => [columns[name].codes, code]);
      const person = columns.person;
      this.found = this.order.filter((row) =>
        chosen.every(([codes, code]) => codes[row] === code) &&
        (!this.onlyPersons || person.labels[person.codes[row]] !== "") &&
        words.every((word) => texts[row].includes(word)));
      for (const [name, head] of this.heads) {
        if (name === this.sort) head.setAttribute("aria-sort", this.down ? "descending" : "ascending");
        else head.removeAttribute("aria-sort");
      }
      this.draw();
    }

    draw() {
      const count = this.found.length;
      const pages = Math.max(Math.ceil(count / this.size), 1);
      this.page = Math.min(Math.max(this.page, 0), pages - 1);
      const from = this.page * this.size;
      const rows = this.found.slice(from, from + this.size);
      this.body.replaceChildren(...rows.map((row) => this.row(row)));
      const of = count === this.all.length ? "" : " (of " + countForm.format(this.all.length) + ")";
      this.status.textContent = count === 0 ? "No account matches." :
        countForm.format(from + 1) + " to " + countForm.format(from + rows.length) + " of " + countForm.format(count) + (count === 1 ? " account" : " accounts") + of;
      this.back.disabled = this.page === 0;
      this.next.disabled = this.page === pages - 1;
    }

    row(row) {
      const line = make("tr", {});
      for (const { key, kind, band } of this.view.columns) {
        if (kind === "account") {
          const id = valueOf("customer_id", row);
          const name = nameOf(row);
          const button = make("button", { type: "button", class: "open", "data-row": String(row) }, bdi(cut(name, 80)));
          const head = make("th", { scope: "row" }, button);
          if (name !== id) head.append(make("span", { class: "id" }, bdi(cut(id, 60))));
          const person = this.name === "ranking" ? valueOf("person", row) : "";
          if (person) head.append(make("span", { class: "mark", title: person, text: "needs a person" }));
          line.append(head);
        } else if (kind === "band") {
          const [low, high] = band.map((name) => valueOf(name, row));
          line.append(make("td", { class: "n bandcell", text: low === null ? NONE : written("money", low) + " to " + written("money", high) }));
        } else if (isNumber(kind)) {
          const value = valueOf(key, row);
          line.append(make("td", { class: value < 0 ? "n negative" : "n", text: written(kind, value) }));
        } else {
          const text = cut(written(kind, valueOf(key, row)), 160);
          line.append(make("td", { class: text.length <= 24 ? "nw" : "long" }, bdi(text)));
        }
      }
      return line;
    }

    show(key, label) {
      for (const [name, select] of this.selects) {
        const code = name === key ? columns[name].labels.indexOf(label) : -1;
        select.value = code < 0 ? "" : String(code);
        if (code < 0) this.chosen.delete(name);
        else this.chosen.set(name, code);
      }
      this.page = 0;
      this.update();
    }
  }
  function isNumber(kind) {
    return kind !== "account" && kind !== "label" && kind !== "text";
  }

  /* The card of one account. */
  const SVG = "http://www.w3.org/2000/svg";
  function draw(tag, attributes, text) {
    const node = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    if (text !== undefined) node.textContent = text;
    return node;
  }
  let starts = null;
  function ordersOf(row) {
    const orders = details.orders;
    if (!orders) return null;
    if (!starts) {
      starts = new Uint32Array(meta.rows + 1);
      for (let i = 0; i < meta.rows; i += 1) starts[i + 1] = starts[i] + orders.count[i];
    }
    const found = [];
    let month = 0;
    for (let i = starts[row]; i < starts[row + 1]; i += 1) {
      month += orders.month[i];
      found.push([month, orders.amount[i]]);
    }
    return found;
  }
  function monthName(month) {
    const [year, first] = details.orders.first.split("-").map(Number);
    const at = year * 12 + first - 1 + month;
    return String(Math.floor(at / 12)) + "-" + String(at % 12 + 1).padStart(2, "0");
  }
  function plot(row) {
    const orders = ordersOf(row);
    const revenue = valueOf("revenue", row);
    if (!orders && revenue === null) return null;
    const narrow = window.innerWidth < 600;
    const monthsBack = narrow ? 18 : MONTHS_BACK;
    const last = details.orders ? details.orders.last : -1;
    const first = orders && orders.length ? Math.max(0, Math.min(orders[0][0], last - 11), last - monthsBack + 1) : last - 11;
    const past = last - first + 1;
    const ahead = revenue === null ? 0 : Math.min(Math.max(Math.round(meta.months), 1), 24);
    const shown = (orders || []).filter(([month]) => month >= first);
    const each = revenue === null ? 0 : revenue / meta.months;
    const [low, high] = ["revenue_lower", "revenue_upper"].map((key) => (valueOf(key, row) ?? 0) / meta.months);
    const goal = valueOf("potential_revenue", row);
    const more = goal ? (revenue + goal) / meta.months : 0;
    const most = Math.max(high, each, more, ...shown.map(([, amount]) => amount), 1e-9);
    const wide = narrow ? 360 : 640, tall = 230, left = narrow ? 44 : 62, top = 14, bottom = 196, right = wide - 8;
    const step = (right - left) / (past + ahead);
    const y = (value) => bottom - (bottom - top) * value / most;
    const svg = draw("svg", { class: "chart", viewBox: "0 0 " + wide + " " + tall, role: "img" });
    const currency = meta.currency ? " " + meta.currency : "";
    const told = "Revenue by month from " + (details.orders ? monthName(first) : "") + ": " + shown.length + " months with orders, largest " +
      written("money", Math.max(0, ...shown.map(([, amount]) => amount))) + currency +
      (revenue === null ? "" : ". Forecast, an average month: " + written("money", each) + currency + ", " + meta.prob + " band " + written("money", low) + " to " + written("money", high) + ".");
    svg.setAttribute("aria-label", told);
    for (const share of [0, 0.5, 1]) {
      svg.append(draw("path", { class: "rule", d: "M" + left + " " + y(share * most).toFixed(1) + "H" + right }));
      svg.append(draw("text", { class: "tick", x: left - 6, y: (y(share * most) + 4).toFixed(1), "text-anchor": "end" }, short(share * most)));
    }
    for (const [month, amount] of shown) {
      const at = left + step * (month - first);
      svg.append(draw("rect", { class: "month", x: (at + 0.12 * step).toFixed(1), y: y(amount).toFixed(1), width: (0.76 * step).toFixed(1), height: (bottom - y(amount)).toFixed(1) }));
    }
    const today = left + step * past;
    if (ahead) {
      svg.append(draw("rect", { class: "future", x: today.toFixed(1), y: y(high).toFixed(1), width: (right - today).toFixed(1), height: (y(low) - y(high)).toFixed(1) }));
      svg.append(draw("path", { class: "mean", d: "M" + today.toFixed(1) + " " + y(each).toFixed(1) + "H" + right }));
      if (goal > 0) svg.append(draw("path", { class: "goal", d: "M" + today.toFixed(1) + " " + y(more).toFixed(1) + "H" + right }));
    }
    svg.append(draw("path", { class: "today", d: "M" + today.toFixed(1) + " " + top + "V" + bottom }));
    if (details.orders) {
      const stride = Math.max(1, Math.ceil(past / (narrow ? 3 : 6)));
      for (let month = first; month <= last; month += stride) {
        const at = left + step * (month - first + 0.5);
        if (at < today - 36 || month === first) svg.append(draw("text", { class: "tick", x: at.toFixed(1), y: bottom + 16, "text-anchor": "middle" }, monthName(month)));
      }
    }
    svg.append(draw("text", { class: "tick", x: today.toFixed(1), y: bottom + 31, "text-anchor": "middle" }, "today"));
    if (ahead) svg.append(draw("text", { class: "tick", x: ((today + right) / 2).toFixed(1), y: bottom + 16, "text-anchor": "middle" }, "next " + meta.horizon));
    const words = "Revenue by month" + currency.replace(" ", ", ") + (ahead ? "; ahead, the average month of the forecast with its " + meta.prob + " band" + (goal > 0 ? ", and with potential (dashed)" : "") : "") + ".";
    return make("figure", {}, svg, make("figcaption", { text: orders ? words : words + " The history was made from a summary: past months are not known." }));
  }
  function short(amount) {
    for (const [size, letter] of [[1e9, "bn"], [1e6, "M"], [1e3, "k"]]) {
      if (amount >= size) return Number((amount / size).toPrecision(3)) + letter;
    }
    return String(Number(amount.toPrecision(3)));
  }
  function factLine(fact, row) {
    const value = valueOf(fact.key, row);
    if (value === null || value === undefined || value === "") return null;
    const money = fact.kind === "money" && meta.currency ? " " + meta.currency : "";
    const definition = make("dd", {});
    if (fact.kind === "label" || fact.kind === "text") definition.append(bdi(cut(written(fact.kind, value), 600)));
    else definition.append(written(fact.kind, value) + money);
    if (fact.band) {
      const [low, high] = fact.band.map((key) => valueOf(key, row));
      if (low !== null && low !== undefined && high !== null) {
        definition.append(make("span", { class: "quiet", text: meta.prob + " band " + written(fact.kind, low) + " to " + written(fact.kind, high) }));
      }
    }
    return make("div", {}, make("dt", { text: fact.head.replace(/_/g, " ") }), definition);
  }

  let opener = null, shownRow = -1, within = null;
  function openCard(row, table, button) {
    if (!details) details = JSON.parse(document.getElementById("details").textContent);
    if (button) opener = button;
    shownRow = row;
    within = table;
    fillCard(row);
    if (!cardBox.open) cardBox.showModal();
    cardBox.scrollTop = 0;
    keepAddress(valueOf("customer_id", row));
  }
  function fillCard(row) {
    const id = valueOf("customer_id", row);
    const name = nameOf(row);
    const order = within ? within.found : [];
    const at = order.indexOf(row);
    const back = make("button", { type: "button", class: "plain", text: "previous" });
    const next = make("button", { type: "button", class: "plain", text: "next" });
    const close = make("button", { type: "button", class: "plain", text: "close", id: "card-close", autofocus: true });
    back.disabled = at <= 0;
    next.disabled = at < 0 || at >= order.length - 1;
    back.addEventListener("click", () => move(at - 1));
    next.addEventListener("click", () => move(at + 1));
    close.addEventListener("click", () => cardBox.close());
    function move(to) {
      openCard(order[to], within, null);
      document.getElementById("card-close").focus();
    }
    const under = (name === id ? "" : id + " · ") + (columns.rank ? "rank " + written("count", valueOf("rank", row)) + " of " + countForm.format(meta.rows) : "");
    const head = make("div", { class: "card-head" },
      make("div", {}, make("h2", { id: "card-title" }, bdi(cut(name, 2000))), make("p", {}, bdi(cut(under, 400)))),
      make("div", { class: "card-buttons" }, back, next, close));
    const body = make("div", { class: "card-body" });
    const person = valueOf("person", row);
    if (person) body.append(make("p", { class: "badge", text: "Needs a person: " + person }));
    const loses = valueOf("loses", row);
    if (loses) body.append(make("p", { class: "badge", text: "Loses money: " + loses }));
    const reason = valueOf("reason", row);
    if (reason) body.append(make("p", {}, bdi(reason)));
    const drawn = plot(row);
    if (drawn) body.append(drawn);
    const facts = make("div", { class: "facts" });
    for (const topic of data.card) {
      const lines = topic.facts.map((fact) => factLine(fact, row)).filter(Boolean);
      if (lines.length) facts.append(make("section", {}, make("h3", { text: topic.title }), make("dl", {}, ...lines)));
    }
    body.append(facts);
    cardBox.replaceChildren(head, body);
  }
  function keepAddress(id) {
    try {
      history.replaceState(null, "", id === null ? location.pathname + location.search : "#account=" + encodeURIComponent(cut(id, 200)));
    } catch (problem) { /* some browsers refuse this for files; the card is open all the same */ }
  }
  cardBox.addEventListener("close", () => {
    keepAddress(null);
    if (opener && opener.isConnected) opener.focus();
    opener = null;
  });
  cardBox.addEventListener("click", (event) => {
    if (event.target === cardBox) cardBox.close();
  });

  const tables = {};
  for (const box of document.querySelectorAll("[data-grid]")) {
    const name = box.dataset.grid;
    if (grids[name]) tables[name] = new Accounts(box, name);
  }
  document.addEventListener("click", (event) => {
    const cell = event.target.closest("[data-cell]");
    if (cell && tables.ranking) {
      tables.ranking.show("cell", cell.dataset.cell);
      document.getElementById("ranking").scrollIntoView();
      document.getElementById("search-ranking").focus({ preventScroll: true });
    }
    if (event.target.closest("[data-person]") && tables.ranking && tables.ranking.tick) {
      tables.ranking.tick.checked = true;
      tables.ranking.onlyPersons = true;
      tables.ranking.update();
    }
  });
  const folds = [];
  window.addEventListener("beforeprint", () => {
    for (const fold of document.querySelectorAll("details:not([open])")) { fold.open = true; folds.push(fold); }
  });
  window.addEventListener("afterprint", () => {
    for (const fold of folds.splice(0)) fold.open = false;
  });
  function openFromAddress() {
    if (!location.hash.startsWith("#account=")) return;
    let wanted = "";
    try { wanted = decodeURIComponent(location.hash.slice(9)); } catch (problem) { return; }
    const row = columns.customer_id.texts.indexOf(wanted);
    if (row >= 0) openCard(row, tables.ranking, null);
  }
  window.addEventListener("hashchange", openFromAddress);
  openFromAddress();
  document.documentElement.dataset.ready = "yes";
})();
