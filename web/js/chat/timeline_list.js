// Keeps the `<li>` of the timeline equal to a list of rows: nodes of unchanged rows stay as they
// are.
import { el } from '../kit/dom.js';
import { renderMessage, renderPending, renderPush } from './row.js';
import { replaceRow } from './row_clicks.js';
import { EMOJI_CHARS, missedEmoji } from './emoji_names.js';
import { later } from './later.js';
import { isExpanded, isRemoving } from './row_state.js';
import { plainRow } from './timeline_nodes.js';
import { foldedText } from './text_context.js';
import { personName } from './person_name.js';
import { dayKey } from '../kit/time.js';

/** Elements of a row before it was drawn, and characters of a text that may add one. */
const LIST_WEIGHT_GUESS = 10;
const LIST_CHARS_GUESS = 10;

/** @typedef {import('./types.js').Context} Context */
/** @typedef {import('./types.js').Message} Message */
/** @typedef {import('./timeline_rows.js').TimelineRow} TimelineRow */
/** @typedef {{ li: HTMLLIElement, row: TimelineRow, facts: unknown[], weight: number, waits: boolean }} Drawn `waits`: it was drawn without the emoji of its shortcodes */

/**
 * @typedef {object} RowFacts what a row shows besides its event
 * @property {Map<number, { count: number, last: string }>} threads
 * @property {number} lastOwn the seq of the last own message
 * @property {number[]} seen users who have read it
 * @property {Set<string>} kept own messages of this page, by client_id
 */

/**
 * @param {HTMLElement} list
 * @param {Context} ctx
 * @param {() => void} again draws the rows again
 */
export function createRowList(list, ctx, again) {
  /** @type {Map<string, Drawn>} */
  const drawn = new Map();

  /**
   * Returns what decides how a row is drawn; a row with equal values is not drawn again.
   * @param {TimelineRow} row
   * @param {RowFacts} facts
   * @returns {unknown[]}
   */
  function factsOf(row, { threads, lastOwn, seen, kept }) {
    const { message } = row;
    if (row.kind === 'day') return [dayKey(ctx.now())];
    if (row.kind === 'gap') return [row.gap?.to];
    if (row.kind === 'note') {
      const events = row.groups?.flatMap((group) => group.events) ?? [];
      return [events.length, events.at(-1)?.seq, missing(events.flatMap((event) => [event.actor_id, event.user_id ?? event.actor_id]))];
    }
    if (row.kind === 'pending' && row.pending) return [row.pending.state, row.pending.error?.detail, row.head, faceOf(ctx.store.me.id)];
    if (!message) return [row.push, row.head, personName(ctx, row.push?.actor_id), faceOf(row.push?.actor_id)];
    const quoted = message.reply_to === undefined ? undefined : ctx.store.message(message.reply_to);
    const thread = threads.get(message.id);
    const isLast = message.seq === lastOwn;
    const people = [message.sender_id, ...(message.reactions?.flatMap((reaction) => reaction.user_ids.slice(0, 20)) ?? [])];
    return [message, row.push, row.head, quoted, thread?.count, thread?.last, isLast ? seen.join() : '', isLast && kept.has(message.client_id ?? ''),
      isRemoving(message.id), isExpanded(message.id), personName(ctx, message.sender_id), faceOf(message.sender_id), quoted && personName(ctx, quoted.sender_id), missing(people)];
  }

  /** @param {number | undefined} id */
  const faceOf = (id) => ctx.store.user(id ?? 0).avatar;

  /** @param {number[]} ids */
  const missing = (ids) => ids.filter((id) => ctx.store.user(id).missing).length;

  /** @param {TimelineRow} row @param {RowFacts} facts @returns {HTMLElement} */
  function contents(row, { threads, lastOwn, seen, kept }) {
    if (row.kind === 'pending' && row.pending) return renderPending(row.pending, ctx, row.head === true);
    if (row.kind === 'push' && row.push) return renderPush(row.push, ctx);
    const { message } = row;
    if (!message) return plainRow(row, ctx);
    const isLast = message.seq === lastOwn;
    return renderMessage(message, ctx, { head: row.head, push: row.push, thread: threads.get(message.id), seen: isLast ? seen : [], kept: isLast && kept.has(message.client_id ?? '') });
  }

  /** @param {TimelineRow} row @param {RowFacts} facts @returns {HTMLLIElement} */
  function nodeOf(row, facts) {
    const now = factsOf(row, facts);
    const known = drawn.get(row.key);
    const isStale = known?.waits && EMOJI_CHARS.size > 0;
    if (known && !isStale && known.row.kind === row.kind && known.facts.every((value, at) => value === now[at])) {
      known.row = row;
      return known.li;
    }
    const misses = missedEmoji();
    const made = contents(row, facts);
    const waits = missedEmoji() > misses;
    if (waits) later(again);
    const li = made instanceof HTMLLIElement ? made : frame(made, known?.li);
    li.dataset.key = row.key;
    li.classList.toggle('with-head', row.head === true);
    drawn.set(row.key, { li, row, facts: now, weight: li.getElementsByTagName('*').length + 1, waits });
    return li;
  }

  /**
   * Puts an article into its `<li>`; the article of before is changed, so that it keeps the focus.
   * @param {HTMLElement} made
   * @param {HTMLLIElement | undefined} before
   */
  function frame(made, before) {
    const article = before?.querySelector(':scope > article');
    if (before && article instanceof HTMLElement) {
      replaceRow(article, made);
      hideFromTab(article, article.tabIndex === 0);
      return before;
    }
    hideFromTab(made, false);
    return el('li', { class: 'row' }, made);
  }

  return {
    /**
     * @param {TimelineRow[]} rows
     * @param {RowFacts} facts
     * @param {{ top?: HTMLLIElement, bottom?: HTMLLIElement }} edges
     */
    show(rows, facts, edges) {
      const keys = new Set(rows.map((row) => row.key));
      for (const [key] of drawn) if (!keys.has(key)) drawn.delete(key);
      const nodes = rows.map((row) => nodeOf(row, facts));
      const wanted = [edges.top, ...nodes, edges.bottom].filter((node) => node !== undefined);
      const kept = new Set(wanted);
      const active = list.ownerDocument.activeElement;
      const isFocusLost = active !== null && list.contains(active) && ![...kept].some((node) => node.contains(active));
      for (const node of [...list.children]) if (!kept.has(/** @type {HTMLLIElement} */ (node))) node.remove();
      let next = list.firstElementChild;
      for (const node of wanted) {
        if (node === next) next = next.nextElementSibling;
        else list.insertBefore(node, next);
      }
      if (isFocusLost) list.parentElement?.focus({ preventScroll: true });
    },
    /** @param {TimelineRow} row */
    weightOf: ({ key, message }) => drawn.get(key)?.weight ?? LIST_WEIGHT_GUESS + foldedText(message?.content ?? '').length / LIST_CHARS_GUESS,
    /** @param {string} key */
    node: (key) => drawn.get(key)?.li,
    clear() {
      drawn.clear();
      list.replaceChildren();
    },
  };
}

/**
 * Takes the buttons and links of a row into the order of Tab, or out of it: only one row has them
 * there, so Tab does not lead through hundreds of rows.
 * @param {HTMLElement} article
 * @param {boolean} isStop
 */
export function hideFromTab(article, isStop) {
  article.tabIndex = isStop ? 0 : -1;
  for (const node of article.querySelectorAll('a[href], button, summary, pre[tabindex], video, audio')) {
    if (node instanceof HTMLElement && !node.closest('.action-bar')) node.tabIndex = isStop ? 0 : -1;
  }
}
