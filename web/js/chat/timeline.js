// The messages of the open chat: a window of real rows, which keeps what the reader sees in place.
//
// Owns the window, the selection and the place of each chat. Facts come from the store; changes go
// through the actions. `anchor.js` is the only writer of the scroll position.
import { createNews } from './timeline_news.js';
import { createRowFocus } from './timeline_focus.js';
import { createPages } from './timeline_pages.js';
import { el } from '../kit/dom.js';
import { followTail, gapsIn, growDown, growUp, pageOfGap, rangeAt, trimWindow, windowAround, windowAtEnd, WINDOW_ROWS_MAX } from './timeline_window.js';
import { rowClicks } from './row_clicks.js';
import { createAnchor } from './anchor.js';
import { createRowList } from './timeline_list.js';
import { createReadMarks, isRowSeen } from './read_marks.js';
import { createUnread } from './timeline_unread.js';
import { chatTitle, edgeNode } from './timeline_nodes.js';
import { buildRows, threadsOf } from './timeline_rows.js';
import { createPill } from './timeline_pill.js';
import { problemText, showProblem } from './problem.js';
import { later } from './later.js';

/** Elements on the page at most, besides those of the fewest rows that fill a screen. */
const TIMELINE_WEIGHT_MAX = 3000;
/** Rows beside those on the screen that stay in any case. */
const TIMELINE_BESIDE_ROWS = 3;
/** Rows at the end that stay for a reader there. */
const TIMELINE_END_ROWS = 5;
/** Unread messages up to which a chat opens at the first of them. */
const TIMELINE_UNREAD_MAX = 300;
/** Pages are requested this many screens ahead. */
const TIMELINE_AHEAD_SCREENS = 1.5;
/** Room above the New line and above a date that was jumped to, in pixels. */
const TIMELINE_ABOVE_PX = 64;
const TIMELINE_TICK_MS = 250;
/** Places of chats that are remembered, and jumps that Escape undoes. */
const TIMELINE_PLACES_MAX = 200;
const TIMELINE_BACK_MAX = 20;
/** "Seen by" is shown in chats with at most as many members. */
const TIMELINE_SEEN_MAX = 100;
const TIMELINE_KEPT_MAX = 200;
const TIMELINE_KEYS_MAX = 10_000;

/** @typedef {import('./types.js').Context} Context */
/** @typedef {import('./types.js').Message} Message */
/** @typedef {import('./timeline_window.js').Window} Window */
/** @typedef {import('./timeline_rows.js').TimelineRow} TimelineRow */
/** @typedef {{ highlight?: boolean, focus?: boolean, place?: 'start' | 'center', offset?: number }} GoOptions */

/**
 * Creates the timeline in an empty element.
 * @param {HTMLElement} root
 * @param {Context} ctx
 */
export function createTimeline(root, ctx) {
  const { store, actions } = ctx;
  const list = el('ol', { class: 'messages', 'aria-label': 'Messages' });
  const scroller = el('div', { class: 'timeline-scroll', tabindex: -1 }, list);
  root.classList.add('timeline');
  root.append(scroller);
  const rowList = createRowList(list, ctx, redraw);
  const marks = createReadMarks(() => performance.now());
  const unread = createUnread();
  const pages = createPages({ ctx, chat: () => chatId, changed: drawPage });

  /** The open chat; 0: none. */
  let chatId = 0;
  /** Counts the chats that were opened and the jumps, to drop answers that came too late. */
  let visit = 0;
  /** @type {Window} */
  let win = { first: 1, last: 0, tail: true };
  /** @type {TimelineRow[]} */
  let rows = [];
  let isBegun = false;
  /** Whether the reader could see the rows at the last check. */
  let isSeen = false;
  /** Whether the reader was away from the end since the chat was opened or the address was shortened. */
  let wasAway = false;
  let targetSeq = 0;
  let frame = 0;
  /** @type {number | undefined} */
  let wantedSeq;
  /** The message and the panel of the last route. @type {number | undefined} */
  let routeSeq;
  let routePanel = ':';
  /** The jump to repeat when the timeline has a size. @type {(() => Promise<void>) | undefined} */
  let unseen;
  /** @type {{ seq: number, y: number }[]} */
  const backs = [];
  /** @type {Map<number, { seq: number, y: number }>} */
  const places = new Map();
  /** @type {Map<string, HTMLLIElement>} */
  const edges = new Map();
  /** The first visible row when rows of a side were removed: that side grows after the reader moved. @type {{ up?: string, down?: string }} */
  let held = {};
  /** Messages that were on the page. @type {Set<string>} */
  const shownKeys = new Set();
  /** Messages that were sent from this page, by client_id. @type {Set<string>} */
  const kept = new Set();

  const anchor = createAnchor(scroller, list, { moved: () => afterMove(), isHeld, hasEnd: () => win.tail });
  const pill = createPill(root, ctx, { onPresent: () => toPresent(), onUnread: () => toUnread(), onDate: askDate });
  const focus = createRowFocus({ list, scroller, anchor, ctx, home: () => toFirst(), end: () => toPresent(), back: () => goBack(), onUnread: (message) => holdAt(message.seq - 1) });
  const news = createNews(ctx);
  rowClicks(list, ctx, { onUnread: (message) => holdAt(message.seq - 1), onState: redraw });

  const facts = () => store.timeline(chatId);

  /** Returns whether the reader works with what is on the screen: a selection, a menu, a bar. */
  function isHeld() {
    const selection = ctx.root.getSelection();
    return (selection !== null && !selection.isCollapsed && list.contains(selection.anchorNode)) || Boolean(main()?.querySelector('.popover, .messages .action-bar:hover'));
  }

  const main = () => ctx.root.getElementById('main');

  // Opening.

  /** @param {number} id @param {{ seq?: number }} [options] */
  function open(id, { seq } = {}) {
    const isPanelOnly = noteRoute(seq);
    if (id === chatId) {
      if (isPanelOnly) return;
      if (seq !== undefined && isBegun) void go(seq, { highlight: true, place: 'center' });
      else if (seq !== undefined) wantedSeq = seq;
      return;
    }
    leave();
    chatId = id;
    visit += 1;
    isBegun = false;
    wantedSeq = seq;
    targetSeq = 0;
    wasAway = false;
    backs.length = 0;
    pages.reset();
    shownKeys.clear();
    focus.reset();
    marks.leave();
    clearRows();
    rows = [];
    begin();
  }

  /**
   * Returns whether the route differs from the one before only in its panel: a thread that closes
   * leads back to an address with a message, which is not a jump.
   * @param {number | undefined} seq
   */
  function noteRoute(seq) {
    const { panel, thread } = ctx.router.current();
    const at = `${panel ?? ''}:${thread ?? ''}`;
    const isPanelOnly = at !== routePanel && (seq === routeSeq || thread !== undefined);
    routePanel = at;
    if (thread === undefined) routeSeq = seq;
    return isPanelOnly;
  }

  /** Remembers the place in the chat that is left. */
  function leave() {
    if (!isBegun) return;
    const place = currentPlace();
    places.delete(chatId);
    if (place && !anchor.atEnd()) places.set(chatId, place);
    if (places.size > TIMELINE_PLACES_MAX) places.delete(places.keys().next().value ?? 0);
  }

  /** Returns the first visible event and its distance to the top edge. */
  function currentPlace() {
    for (let node = anchor.first(); node; node = node.nextElementSibling) {
      const row = rowOf(node);
      if (row?.seq !== undefined) return { seq: row.seq, y: anchor.topOf(node) };
    }
    return undefined;
  }

  /** Chooses where the chat opens, once the store has it. */
  function begin() {
    const chat = store.chat(chatId);
    list.setAttribute('aria-label', `Messages in ${chatTitle(ctx, chat)}`);
    pill.show({ at: undefined, count: 0, isShown: false, unread: 0 });
    if (!chat) return showMissing();
    isBegun = true;
    list.replaceChildren();
    const { count } = store.unread(chatId);
    unread.open(chat.read_seq, count, facts().last);
    marks.reset(chat.read_seq);
    news.open(chatId, facts().last);
    const place = places.get(chatId);
    if (wantedSeq !== undefined) return void go(wantedSeq, { highlight: true, place: 'center' });
    if (count > 0 && count <= TIMELINE_UNREAD_MAX) return void toUnread();
    if (count === 0 && place) return void go(place.seq, { place: 'start', offset: place.y });
    return void toPresent();
  }

  /** The store does not have the chat: yet, or because this user is not in it. */
  function showMissing() {
    const isListed = store.connection().state === 'online' && store.chats().length > 0;
    const words = isListed ? 'This chat does not exist, or you are not in it.' : 'Loading…';
    list.replaceChildren(el('li', { class: 'edge-row muted' }, words));
  }

  // Moving.

  /**
   * Shows the message at a seq; loads what is around it.
   * @param {number} seq
   * @param {GoOptions} options
   */
  async function go(seq, { highlight = false, focus: takesFocus = false, place = 'center', offset = 0 }) {
    visit += 1;
    const own = visit;
    const chat = chatId;
    wantedSeq = undefined;
    const wanted = Math.max(facts().first_known, Math.min(seq, facts().last));
    if (!isInWindow(wanted)) {
      let step = windowAround(facts(), wanted);
      if (step.need) {
        if (rows.length === 0) render();
        const problem = await pages.load(step.need, 'jump');
        if (own !== visit || chat !== chatId) return;
        if (problem) showProblem(`The message did not load. ${problemText(problem)}`);
        step = windowAround(facts(), wanted);
        // The page does not have the seq: it failed, or the events were removed.
        if (step.need) step = windowAtEnd(facts());
      }
      win = step.window;
      // The rows of another part of the history have no place to keep.
      clearRows();
    }
    targetSeq = highlight ? wanted : 0;
    render(false, wanted);
    const node = nodeAt(wanted);
    if (!node) return;
    // On a phone another screen may be shown: the place is found when this one is.
    unseen = scroller.clientHeight === 0 ? () => go(seq, { highlight, place, offset }) : undefined;
    anchor.show(node, place, offset || (place === 'start' ? TIMELINE_ABOVE_PX : 0));
    const article = node.querySelector('article');
    if (article instanceof HTMLElement) focus.stop(article);
    if (takesFocus) article?.focus({ preventScroll: true });
  }

  /** @param {number} seq */
  const isInWindow = (seq) => rows.length > 0 && win.first <= seq && seq <= win.last && rangeAt(facts(), seq) !== undefined;

  /**
   * Returns the row of an event; events without a row belong to the row before them.
   * @param {number} seq
   */
  function nodeAt(seq) {
    const row = rows.find((item) => (item.through ?? -1) >= seq) ?? rows.findLast((item) => item.seq !== undefined);
    return row && rowList.node(row.key);
  }

  async function toPresent() {
    visit += 1;
    const own = visit;
    wantedSeq = undefined;
    unseen = undefined;
    targetSeq = 0;
    if (!win.tail || rows.length === 0 || !rangeAt(facts(), facts().last)) {
      let step = windowAtEnd(facts());
      if (step.need) {
        if (rows.length === 0) render();
        await pages.load(step.need, 'jump');
        if (own !== visit) return;
        step = windowAtEnd(facts());
      }
      win = step.window;
      clearRows();
    }
    render(false, Infinity);
    anchor.end();
  }

  async function toUnread() {
    const after = unread.newAfter();
    if (after === undefined) return;
    await go(after + 1, { place: 'start' });
    const line = rowList.node('new');
    if (line) anchor.show(line, 'start', TIMELINE_ABOVE_PX);
  }

  async function toFirst() {
    await go(facts().first_known, { place: 'start' });
  }

  /** @param {HTMLElement} near */
  function askDate(near) {
    const own = visit;
    // The answer is for this chat, and for a reader who has not gone elsewhere.
    later(({ askDay }) => own === visit && askDay(ctx, chatId, { near, parent: root }, async (seq) => own === visit && go(seq, { place: 'start', focus: true })));
  }

  /** @param {Event} event */
  function jumped(event) {
    const { chat, seq, from } = /** @type {CustomEvent} */ (event).detail;
    if (chat !== chatId) return ctx.router.go(`/chat/${chat}/${seq}`);
    const place = currentPlace();
    if (place) backs.push(from ? { ...place, seq: from } : place);
    if (backs.length > TIMELINE_BACK_MAX) backs.shift();
    void go(seq, { highlight: true, focus: true, place: 'center' });
  }

  /** Returns to where the last jump began. Returns whether there was one. */
  function goBack() {
    const place = backs.pop();
    if (place) void go(place.seq, { focus: true, place: 'center' });
    return place !== undefined;
  }

  // Drawing.

  function redraw() {
    if (isBegun) render();
  }

  /** Draws a page. Returns whether a message is on the page that was not there before. */
  function drawPage() {
    redraw();
    const size = shownKeys.size;
    for (const { key, kind } of rows) if (kind === 'message' || kind === 'push') shownKeys.add(key);
    const isNew = shownKeys.size > size;
    if (shownKeys.size > TIMELINE_KEYS_MAX) shownKeys.clear();
    return isNew;
  }

  function clearRows() {
    rowList.clear();
    held = {};
  }

  /**
   * @param {boolean} [isAppended]
   * @param {number} [goal] the seq that is shown next; Infinity: the end
   */
  function render(isAppended = false, goal) {
    anchor.keep(() => draw(undefined, goal), isAppended);
  }

  /**
   * @param {'top' | 'bottom'} [trimmed] the side that is far from the reader
   * @param {number} [goal]
   */
  function draw(trimmed, goal) {
    const known = facts();
    const visible = new Set(visibleRows().map(({ row }) => row.key));
    if (win.tail && !anchor.atEnd() && rows.length >= WINDOW_ROWS_MAX && known.last > win.last) win = { ...win, tail: false };
    win = followTail(win, known);
    rows = rowsOf(win);
    const side = goal === Infinity ? 'top' : trimmed ?? farSide();
    const weighed = rows.filter((row) => row.seq !== undefined).map((row) => ({ key: row.key, seq: row.seq ?? 0, through: row.through ?? 0, weight: rowList.weightOf(row) }));
    /** @param {{ key: string, through: number }} row */
    const isNear = ({ key, through }) => (goal === undefined ? visible.has(key) : through >= goal);
    const end = weighed.length;
    const isEnd = goal === Infinity || (goal === undefined && win.tail && anchor.atEnd());
    // At the end the newest rows stay, and those that were on the screen may go.
    const from = Math.max(weighed.findIndex(isNear), isEnd ? end - TIMELINE_END_ROWS : -1);
    const to = isEnd ? end : goal === undefined ? weighed.findLastIndex(isNear) + 1 : from + 1;
    const keep = isEnd || to > 0 ? { from: Math.max(0, from - TIMELINE_BESIDE_ROWS), to: Math.min(end, to + TIMELINE_BESIDE_ROWS) } : undefined;
    const cut = trimWindow(win, weighed, side, { rows: WINDOW_ROWS_MAX - (rows.length - weighed.length), weight: TIMELINE_WEIGHT_MAX }, keep);
    if (cut !== win) {
      win = cut;
      rows = rowsOf(win);
    }
    rowList.show(rows, rowFacts(), {
      top: edge(win.first <= known.first_known ? 'start' : 'older', pages.isFailed('up')),
      bottom: win.tail ? undefined : edge('newer', pages.isFailed('down')),
    });
    store.show(chatId, win.first, win.last);
    showTarget();
  }

  /**
   * Returns the row of an end of the window; an unchanged one stays.
   * @param {'start' | 'older' | 'newer'} kind
   * @param {boolean} isFailed
   */
  function edge(kind, isFailed) {
    const chat = store.chat(chatId);
    const name = chatTitle(ctx, chat);
    const key = `${kind} ${isFailed} ${chat?.kind} ${name}`;
    const node = edges.get(kind);
    if (node?.dataset.edgeKey === key) return node;
    const made = edgeNode(kind, { failed: isFailed, name, isDirect: chat?.kind === 'direct' });
    made.dataset.edgeKey = key;
    edges.set(kind, made);
    return made;
  }

  /** Returns the side of the window that is far from the reader. */
  function farSide() {
    const isLow = scroller.scrollTop > (scroller.scrollHeight - scroller.clientHeight) / 2;
    return anchor.atEnd() || isLow ? 'top' : 'bottom';
  }

  /** @param {Window} window */
  function rowsOf(window) {
    const { first, last, tail } = window;
    return buildRows({
      events: store.events(chatId, first, last), gaps: gapsIn(window, facts()), pending: tail ? store.pending(chatId) : [],
      newAfter: unread.newAfter(), me: store.me.id, first, last, eventAt: (seq) => store.events(chatId, seq, seq)[0],
    });
  }

  function rowFacts() {
    const known = facts();
    const from = known.ranges[0]?.from ?? 0;
    const lastOwn = rows.findLast((row) => row.message?.sender_id === store.me.id && !row.message.deleted)?.seq ?? 0;
    const readers = store.marks(chatId);
    const seen = readers.size > TIMELINE_SEEN_MAX ? [] : [...readers].filter(([id, mark]) => id !== store.me.id && mark.read_seq >= lastOwn).map(([id]) => id);
    for (const { client_id: client } of store.pending(chatId)) kept.add(client);
    if (kept.size > TIMELINE_KEPT_MAX) kept.delete(kept.values().next().value ?? '');
    return { threads: threadsOf(store.events(chatId, from, known.last)), lastOwn, seen, kept };
  }

  function showTarget() {
    const target = targetSeq > 0 ? nodeAt(targetSeq) : undefined;
    for (const node of list.querySelectorAll(':scope > .is-target')) if (node !== target) node.classList.remove('is-target');
    if (target && !target.classList.contains('is-target')) target.classList.add('is-target');
  }

  /** @param {Element} node */
  const rowOf = (node) => (node instanceof HTMLElement ? rows.find((row) => row.key === node.dataset.key) : undefined);

  // After every change of the place: load ahead, show the buttons, notice what is read.

  function afterMove() {
    if (frame || !isBegun) return;
    frame = requestAnimationFrame(() => {
      frame = 0;
      if (!isBegun) return;
      if (unseen && scroller.clientHeight > 0) void unseen();
      loadAhead();
      showPill();
      focus.follow();
      seeRows();
    });
  }

  function loadAhead() {
    const height = scroller.clientHeight;
    if (height === 0 || rows.length === 0 && pages.isLoading('jump')) return;
    const room = scroller.scrollHeight - height;
    // A full window is only so high: loading at both ends in turn must end.
    const ahead = Math.min(TIMELINE_AHEAD_SCREENS * height, rows.length > WINDOW_ROWS_MAX - 60 || held.up || held.down ? Math.max(room / 3, TIMELINE_ABOVE_PX) : Infinity);
    if (scroller.scrollTop < ahead) grow('up');
    if (room - scroller.scrollTop < ahead && !win.tail) grow('down');
    for (const { row, node } of visibleRows()) if (row.gap) loadGap(row.gap, node);
  }

  /** @param {'up' | 'down'} direction */
  function grow(direction) {
    if (held[direction] && held[direction] === firstKey()) return;
    const step = direction === 'up' ? growUp(win, facts()) : growDown(win, facts());
    if (step.need) return void pages.load(step.need, direction);
    if (step.window === win || (step.window.first === win.first && step.window.last === win.last && step.window.tail === win.tail)) return;
    win = step.window;
    anchor.keep(() => draw(direction === 'up' ? 'bottom' : 'top'));
    if (win.first > step.window.first) held.up = firstKey();
    if (win.last < step.window.last) held.down = firstKey();
  }

  /** Returns the key of the first visible row. */
  function firstKey() {
    const node = anchor.first();
    return node instanceof HTMLElement ? node.dataset.key : undefined;
  }

  /** @param {import('./types.js').Range} gap @param {Element} node */
  function loadGap(gap, node) {
    const comesFromAbove = node.previousElementSibling !== null && anchor.topOf(node) > scroller.clientHeight / 3 && !anchor.atEnd();
    void pages.load(pageOfGap(gap, comesFromAbove ? 'down' : 'up'), 'gap');
  }

  /** Returns the rows on the screen. */
  function visibleRows() {
    const found = [];
    const bottom = scroller.clientHeight;
    for (let node = anchor.first(); node && anchor.topOf(node) < bottom; node = node.nextElementSibling) {
      const row = rowOf(node);
      if (row) found.push({ row, node });
    }
    return found;
  }

  function showPill() {
    const away = scroller.scrollHeight - scroller.clientHeight - scroller.scrollTop;
    const isAway = !win.tail || (!anchor.atEnd() && away > scroller.clientHeight / 2);
    if (anchor.atEnd() && win.tail) {
      unread.atEnd(facts().last);
      if (wasAway) leaveMessage();
    }
    wasAway ||= isAway;
    const count = newCount();
    const visible = visibleRows();
    const at = visible.find(({ row }) => row.at !== undefined)?.row.at;
    const firstSeq = visible.find(({ row }) => row.seq !== undefined)?.row.seq ?? 0;
    if (visible.some(({ row }) => row.kind === 'new')) unread.lineShown();
    pill.show({ at, count, isShown: isAway || (count > 0 && !anchor.atEnd()), unread: unread.above(firstSeq) });
  }

  /** The reader came back to the end: the address names the chat, not the message that was left. */
  function leaveMessage() {
    const { chat, seq, panel } = ctx.router.current();
    // The entry of the message is behind that of the panel.
    if (panel) return;
    wasAway = false;
    if (chat === chatId && seq !== undefined) ctx.router.go(`/chat/${chat}`, { replace: true });
  }

  /**
   * Returns the messages of others since the reader left the end. Those that are not loaded
   * count.
   */
  function newCount() {
    const { last } = facts();
    const awayFrom = unread.awayFrom();
    if (awayFrom > last) return 0;
    const loaded = store.events(chatId, awayFrom, last).filter(({ kind, message }) => kind === 'message' && message?.sender_id !== store.me.id && !message?.deleted).length;
    return gapsIn({ first: awayFrom, last, tail: true }, facts()).reduce((sum, gap) => sum + gap.to - gap.from + 1, loaded);
  }

  function seeRows() {
    isSeen = isLooking();
    if (!isSeen) return marks.leave();
    const bottom = scroller.clientHeight;
    const seen = visibleRows().filter(({ row, node }) => {
      const { height } = node.getBoundingClientRect();
      const top = anchor.topOf(node);
      return row.through !== undefined && isRowSeen(top, top + height, bottom);
    });
    marks.see(seen.map(({ row: { seq = 0, through = 0 } }) => ({ seq, through })));
  }

  const isLooking = () => isBegun && ctx.root.hasFocus() && ctx.root.visibilityState === 'visible' && scroller.clientHeight > 0 && !ctx.root.querySelector('dialog[open]');

  function tick() {
    if (!isBegun) return;
    // A dialog opens and closes without a movement.
    if (!isSeen || !isLooking()) seeRows();
    if (!isSeen || !marks.waits()) return;
    const seq = marks.due();
    const read = store.chat(chatId)?.read_seq ?? 0;
    // A refused mark is sent with the next message, or when the chat is opened again.
    if (seq > read) actions.read(chatId, seq).catch(() => {});
  }

  /**
   * Shows the New line after a seq, and marks nothing as read until the chat is opened again.
   * @param {number} seq
   */
  function holdAt(seq) {
    unread.hold(seq);
    marks.hold();
    render();
  }

  /** The reader went away: the next message gets the New line, if all before were read. */
  function blurred() {
    marks.leave();
    unread.left();
  }

  // Changes of the store.

  /** @param {Set<string>} changes */
  function update(changes) {
    if (chatId === 0) return;
    if (changes.has('connection') && store.connection().state === 'online' && pages.retryAll()) afterMove();
    if (!isBegun) return begin();
    if (!store.chat(chatId)) return lost();
    const own = ['timeline', 'pending', 'marks', 'chat'].some((key) => changes.has(`${key}:${chatId}`));
    if (!own && !changes.has('users')) return;
    const isNew = facts().last > news.last();
    if (isNew) {
      const others = news.take(chatTitle(ctx, store.chat(chatId)));
      unread.arrived(others, store.chat(chatId)?.read_seq ?? 0);
    }
    if (win.tail === false && pages.isLoading('jump')) return;
    render(isNew);
  }

  /** The composer of this page sends: a user who writes has read what stands above. */
  function sent() {
    if (!isBegun) return;
    marks.reset(store.chat(chatId)?.read_seq ?? 0);
    void toPresent();
  }

  /** The chat does not exist for this user any more. */
  function lost() {
    isBegun = false;
    rows = [];
    clearRows();
    showMissing();
  }

  /** @param {MouseEvent} event */
  function clicked(event) {
    const button = event.target instanceof Element ? event.target.closest('button') : null;
    if (!button) return;
    const { gapFrom, gapTo, edge, noteJump } = button.dataset;
    if (noteJump) return jumped(new CustomEvent('chat:jump', { detail: { chat: chatId, seq: Number(noteJump) } }));
    if (edge) {
      pages.retry(edge === 'older' ? 'up' : 'down');
      held = {};
      grow(edge === 'older' ? 'up' : 'down');
    }
    if (gapFrom && gapTo) {
      pages.retry('gap');
      loadGap({ from: Number(gapFrom), to: Number(gapTo) }, button.closest('li') ?? button);
    }
  }

  setInterval(tick, TIMELINE_TICK_MS);
  list.addEventListener('click', clicked);
  for (const name of ['wheel', 'touchmove', 'keydown', 'pointerdown']) scroller.addEventListener(name, pages.moved, { passive: true });
  (main() ?? root).addEventListener('chat:jump', jumped);
  (main() ?? root).addEventListener('chat:sent', sent);
  window.addEventListener('focus', afterMove);
  window.addEventListener('blur', blurred);
  ctx.root.addEventListener('visibilitychange', afterMove);

  return {
    open,
    update,
    rows: focus,
  };
}
