// The loaded events of one chat: which ranges are loaded, and the current state of their messages.
//
// Pages arrive in any order, older or newer than the pushes. Rules that keep messages current:
// - Only events at the head of the chat, in order, change messages. They are logged.
// - A page holds copies as of a seq. Logged changes after that seq are applied to the copies. A
//   page that is older than the log is refused: the caller requests it again.
// - Of two copies the one with the larger `updated_seq` is kept.

/** @typedef {import('./types.js').Event} Event */
/** @typedef {import('./types.js').Message} Message */
/** @typedef {import('./types.js').Range} Range */

export const WINDOW_EVENTS_MAX = 2000;
/** Events removed at once when a window is full. */
const WINDOW_DROP = 200;
/** Messages outside of the loaded ranges: of threads, pins and quotations. */
const WINDOW_EXTRAS_MAX = 500;
const WINDOW_LOG_MAX = 200;
/** Small events between two messages, once a window is full. */
const WINDOW_RUN_MAX = 20;
const WINDOW_CHANGES = new Set(['edit', 'delete', 'react', 'unreact', 'pin', 'unpin', 'trim']);

/** @param {Message} message */
const updatedSeq = (message) => message.updated_seq ?? message.seq;

/**
 * Returns the message after a change; the same object if the change is included already.
 * @param {Message} message
 * @param {Event} event
 * @returns {Message}
 */
export function changedMessage(message, event) {
  if (updatedSeq(message) >= event.seq) return message;
  const next = { ...message, updated_seq: event.seq };
  if (event.kind === 'edit') return event.message && updatedSeq(event.message) >= event.seq ? { ...event.message } : message;
  if (event.kind === 'delete') {
    next.content = '';
    next.deleted = true;
    delete next.metadata;
    delete next.reactions;
    delete next.pinned;
  } else if (event.kind === 'pin') {
    next.pinned = true;
  } else if (event.kind === 'unpin') {
    delete next.pinned;
  } else if (event.kind === 'react' || event.kind === 'unreact') {
    const reactions = changedReactions(message.reactions ?? [], event.emoji ?? '', event.actor_id, event.kind === 'react');
    if (reactions.length > 0) next.reactions = reactions;
    else delete next.reactions;
  } else {
    return message;
  }
  return next;
}

/** @param {string} emoji */
const emojiKey = (emoji) => emoji.replaceAll('\ufe0f', '');

/**
 * @param {import('./types.js').Reaction[]} reactions
 * @param {string} emoji
 * @param {number} user
 * @param {boolean} on
 */
function changedReactions(reactions, emoji, user, on) {
  const key = emojiKey(emoji);
  if (!on) {
    const rest = reactions.map((reaction) => (emojiKey(reaction.emoji) === key
      ? { ...reaction, user_ids: reaction.user_ids.filter((id) => id !== user) } : reaction));
    return rest.filter((reaction) => reaction.user_ids.length > 0);
  }
  const found = reactions.find((reaction) => emojiKey(reaction.emoji) === key);
  if (!found) return [...reactions, { emoji, user_ids: [user] }];
  if (found.user_ids.includes(user)) return reactions;
  return reactions.map((reaction) => (reaction === found ? { ...found, user_ids: [...found.user_ids, user] } : reaction));
}

/** The message that an event changes. @param {Event} event */
const changedId = (event) => event.message_id ?? (event.kind === 'edit' ? event.message?.id : undefined);

/**
 * Adds a range to ascending disjoint ranges, and joins adjacent ones.
 * @param {Range[]} ranges
 * @param {Range} added
 * @returns {Range[]}
 */
export function withRange(ranges, added) {
  if (added.to < added.from) return ranges;
  let { from, to } = added;
  const rest = [];
  for (const range of ranges) {
    if (range.to < from - 1 || range.from > to + 1) rest.push(range);
    else { from = Math.min(from, range.from); to = Math.max(to, range.to); }
  }
  return [...rest, { from, to }].sort((a, b) => a.from - b.from);
}

/**
 * Removes a range from ascending disjoint ranges.
 * @param {Range[]} ranges
 * @param {Range} gone
 * @returns {Range[]}
 */
export function withoutRange(ranges, gone) {
  if (gone.to < gone.from) return ranges;
  return ranges.flatMap((range) => {
    if (range.to < gone.from || range.from > gone.to) return [range];
    const parts = [{ from: range.from, to: gone.from - 1 }, { from: gone.to + 1, to: range.to }];
    return parts.filter((part) => part.from <= part.to);
  });
}

/** @param {Range[]} ranges @param {number} seq */
const isInRanges = (ranges, seq) => ranges.some((range) => range.from <= seq && seq <= range.to);

/** The window of one chat. */
export class ChatWindow {
  /** @param {number} last everything up to here was pushed before the window existed */
  constructor(last) {
    /** @type {Event[]} ascending */
    this.list = [];
    /** @type {Range[]} */
    this.ranges = [];
    /** Ranges whose messages may be outdated: their changes were skipped. @type {Range[]} */
    this.stale = [];
    /** @type {Map<number, Message>} */
    this.messages = new Map();
    /** @type {Map<number, Message>} */
    this.extras = new Map();
    /** Changes at the head since `logFrom`. @type {Event[]} */
    this.log = [];
    this.logFrom = last + 1;
    /** The seq that the user reads: events far from it are removed first. */
    this.focus = last;
    /** The range that the timeline shows; it is never removed. @type {Range} */
    this.shown = { from: 0, to: -1 };
  }

  /** Notes what the timeline shows. @param {number} from @param {number} to */
  show(from, to) {
    this.shown = { from, to };
    this.focus = Math.round((from + to) / 2);
  }

  /** @param {number} id */
  message(id) { return this.messages.get(id) ?? this.extras.get(id); }

  /** @param {number} from @param {number} to */
  between(from, to) { return this.list.slice(this.#index(from), this.#index(to + 1)); }

  /** The first index whose event is not below `seq`. @param {number} seq */
  #index(seq) {
    let [low, high] = [0, this.list.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.list[middle]?.seq ?? 0) < seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /**
   * Applies the next event of the chat. Returns whether a message changed or an event was added.
   * @param {Event} event
   */
  append(event) {
    if (WINDOW_CHANGES.has(event.kind)) this.#logged(event);
    if (event.kind === 'trim') this.#trim(event.to_seq ?? 0);
    this.#change(event);
    this.ranges = withRange(this.ranges, { from: event.seq, to: event.seq });
    this.#put([event], event.seq, event.seq, event.seq);
    this.#shrink();
  }

  /** @param {Event} event */
  #logged(event) {
    this.log.push(event);
    if (this.log.length <= WINDOW_LOG_MAX) return;
    const oldest = this.log.shift();
    this.logFrom = Math.max(this.logFrom, (oldest?.seq ?? 0) + 1);
  }

  /** @param {Event} event */
  #change(event) {
    const id = changedId(event);
    const message = id === undefined ? undefined : this.message(id);
    if (message) this.#set(changedMessage(message, event));
  }

  /** Replaces the copy of a message that is held already. @param {Message} message */
  #set(message) {
    if (this.extras.has(message.id)) this.extras.set(message.id, message);
    if (!this.messages.has(message.id) || this.messages.get(message.id) === message) return;
    this.messages.set(message.id, message);
    const at = this.#index(message.seq);
    const event = this.list[at];
    if (event?.seq === message.seq) this.list[at] = { ...event, message };
  }

  /**
   * Adds a page that covers `from` to `to`. Returns false if the page is older than the log.
   * @param {number} from
   * @param {number} to
   * @param {Event[]} events
   * @param {number} asOf
   */
  addPage(from, to, events, asOf) {
    if (asOf < this.logFrom - 1) return false;
    this.ranges = withRange(this.ranges, { from, to });
    this.#put(events, from, to, asOf);
    // A page that is loaded again does not move the reader.
    if (!this.stale.some((range) => range.from <= to && range.to >= from)) this.focus = Math.round((from + to) / 2);
    this.stale = withoutRange(this.stale, { from, to });
    for (const event of this.log) {
      if (event.seq > asOf && event.kind === 'trim') this.#trim(event.to_seq ?? 0);
    }
    this.#shrink();
    return true;
  }

  /**
   * Keeps messages that stand outside of the loaded ranges. Returns false if they are older than
   * the log.
   * @param {Message[]} messages
   * @param {number} asOf everything up to here is in the copies
   */
  addMessages(messages, asOf) {
    if (asOf < this.logFrom - 1) return false;
    for (const message of messages) {
      const newer = this.#newer(message, asOf);
      if (this.messages.has(message.id)) { this.#set(newer); continue; }
      this.extras.delete(message.id);
      this.extras.set(message.id, newer);
      const [oldest] = this.extras.keys();
      if (this.extras.size > WINDOW_EXTRAS_MAX && oldest !== undefined) this.extras.delete(oldest);
    }
    return true;
  }

  /** Returns the newest state that is known of a message. @param {Message} copy @param {number} asOf */
  #newer(copy, asOf) {
    const held = this.message(copy.id);
    if (held && updatedSeq(held) > updatedSeq(copy) && !isInRanges(this.stale, copy.seq)) return held;
    let message = copy;
    for (const event of this.log) {
      if (event.seq > asOf && changedId(event) === copy.id) message = changedMessage(message, event);
    }
    return held && sameMessage(held, message) ? held : message;
  }

  /**
   * Replaces the events from `from` to `to`.
   * @param {Event[]} events
   * @param {number} from
   * @param {number} to
   * @param {number} asOf
   */
  #put(events, from, to, asOf) {
    const [low, high] = [this.#index(from), this.#index(to + 1)];
    const kept = new Map(this.list.slice(low, high).map((event) => [event.seq, event]));
    const next = events.filter((event) => event.seq >= from && event.seq <= to).map((event) => {
      const held = kept.get(event.seq);
      if (event.kind === 'message' && event.message) {
        const message = this.#newer(event.message, asOf);
        this.extras.delete(message.id);
        this.messages.set(message.id, message);
        return held && held.message === message ? held : { ...event, message };
      }
      if (event.kind !== 'edit') return held ?? event;
      if (event.message && this.message(event.message.id)) this.#set(this.#newer(event.message, asOf));
      return held ?? withoutMessage(event);
    });
    const stay = new Set(next.map((event) => event.seq));
    for (const event of kept.values()) {
      if (event.message && !stay.has(event.seq)) this.messages.delete(event.message.id);
    }
    this.list.splice(low, high - low, ...next);
  }

  /** Removes everything up to `to`: the server kept some of it, which a page contains. @param {number} to */
  #trim(to) {
    this.#cut({ from: 0, to });
    for (const [id, message] of this.extras) if (message.seq <= to) this.extras.delete(id);
  }

  /** @param {Range} gone */
  #cut(gone) {
    const low = this.#index(gone.from);
    const removed = this.list.splice(low, this.#index(gone.to + 1) - low);
    for (const event of removed) if (event.kind === 'message' && event.message) this.messages.delete(event.message.id);
    this.ranges = withoutRange(this.ranges, gone);
    this.stale = withoutRange(this.stale, gone);
  }

  #shrink() {
    if (this.list.length > WINDOW_EVENTS_MAX) this.#thin();
    while (this.list.length > WINDOW_EVENTS_MAX) {
      const first = this.list[0]?.seq ?? 0;
      const end = this.list[this.list.length - 1]?.seq ?? 0;
      const gone = this.focus - first > end - this.focus ? { from: 0, to: this.list[WINDOW_DROP - 1]?.seq ?? 0 }
        : { from: this.list[this.list.length - WINDOW_DROP]?.seq ?? 0, to: Number.MAX_SAFE_INTEGER };
      if (gone.from <= this.shown.to && gone.to >= this.shown.from) return;
      this.#cut(gone);
    }
  }

  /** Removes older events without a row, and most of long runs of notes. They stay in the ranges. */
  #thin() {
    const recent = (this.list.at(-1)?.seq ?? 0) - WINDOW_LOG_MAX;
    let run = 0;
    this.list = this.list.toReversed().filter(({ seq, kind }) => {
      const isRow = kind === 'message' || kind === 'push';
      if (isRow) run = 0;
      if (isRow || seq > recent) return true;
      if (WINDOW_CHANGES.has(kind) && !kind.endsWith('pin')) return false;
      run += 1;
      return run <= WINDOW_RUN_MAX;
    }).reverse();
  }

  /** Events up to `head` were skipped: what is loaded may be outdated. @param {number} head */
  skip(head) {
    this.stale = this.ranges;
    this.extras.clear();
    this.log = [];
    this.logFrom = head + 1;
  }
}

/** @param {Event} event */
function withoutMessage(event) {
  const { message, ...rest } = event;
  return message ? { ...rest, message_id: message.id } : rest;
}

/** @param {Message} a @param {Message} b */
function sameMessage(a, b) {
  return updatedSeq(a) === updatedSeq(b) && a.content === b.content && JSON.stringify(a) === JSON.stringify(b);
}
