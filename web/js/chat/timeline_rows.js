// Events of a chat as rows: what stands under whose head, where days begin, what is folded. No DOM.
import { dayKey, millis } from '../kit/time.js';

/** Messages of one sender within this time share a head, in milliseconds. */
const ROWS_HEAD_MS = 5 * 60_000;
/** Lines of a run of changes; a longer run is one line with counts. */
const ROWS_NOTES_MAX = 3;

/** @typedef {import('./types.js').Event} Event */
/** @typedef {import('./types.js').Message} Message */
/** @typedef {import('./types.js').Pending} Pending */
/** @typedef {import('./types.js').Range} Range */
/** @typedef {{ kind: string, events: Event[] }} NoteGroup events of one kind that follow each other */

/**
 * A row of the timeline. `seq` is its first event, `through` the last one before the next row; other
 * rows have none.
 * @typedef {object} TimelineRow
 * @property {'message' | 'push' | 'note' | 'day' | 'new' | 'gap' | 'pending'} kind
 * @property {string} key the same row has the same key in every list
 * @property {number} [seq]
 * @property {number} [through]
 * @property {boolean} [head] a message with name and picture
 * @property {Message} [message]
 * @property {Event} [push] the push that the message announces
 * @property {NoteGroup[]} [groups]
 * @property {Range} [gap]
 * @property {Pending} [pending]
 * @property {string | number} [at]
 */

const NOTE_KINDS = new Set(['join', 'leave', 'role', 'rename', 'archive', 'pin', 'unpin']);

/**
 * Returns the push that a message announces. Any user can write such metadata: the push must be the
 * event before the message, of the same user.
 * @param {Message} message
 * @param {(seq: number) => Event | undefined} eventAt
 */
export function pushOf(message, eventAt) {
  const seq = message.metadata?.push_seq;
  if (typeof seq !== 'number' || seq !== message.seq - 1) return undefined;
  const event = eventAt(seq);
  return event?.kind === 'push' && event.push && event.actor_id === message.sender_id ? event : undefined;
}

/**
 * Returns the rows.
 * @param {object} input
 * @param {Event[]} input.events ascending
 * @param {Range[]} [input.gaps] ascending
 * @param {Pending[]} [input.pending] only at the end of the chat
 * @param {number} [input.newAfter] the read cursor on entry, if there were unread messages
 * @param {number} input.me
 * @param {number} [input.first] the first seq of the window: the New line may be above it
 * @param {number} input.last the last seq of the window
 * @param {(seq: number) => Event | undefined} [input.eventAt]
 * @returns {TimelineRow[]}
 */
export function buildRows({ events, gaps = [], pending = [], newAfter, me, first = 1, last, eventAt = () => undefined }) {
  /** @type {TimelineRow[]} */
  const rows = [];
  const bySeq = new Map(events.filter((event) => event.kind === 'push').map((event) => [event.seq, event]));
  const pushAt = (/** @type {number} */ seq) => bySeq.get(seq) ?? eventAt(seq);
  const announced = new Set(events.map((event) => (event.message && pushOf(event.message, pushAt))?.seq));
  const waitingGaps = [...gaps];
  let day = '';
  let isNewShown = newAfter === undefined || first > newAfter + 1;
  /** @type {TimelineRow | undefined} */
  let previous;

  /** @param {TimelineRow} row */
  const add = (row) => { rows.push(row); previous = row; };
  /** @param {string | number} at */
  const addDay = (at) => {
    const key = dayKey(at);
    if (key !== day) add({ kind: 'day', key: `day-${key}`, at });
    day = key;
  };
  /** @param {number} seq */
  const addGaps = (seq) => {
    for (let gap = waitingGaps[0]; gap && gap.from < seq; gap = waitingGaps[0]) {
      add({ kind: 'gap', key: `gap-${gap.from}`, gap });
      waitingGaps.shift();
    }
  };

  for (const event of events) {
    const isMessage = event.kind === 'message' && event.message !== undefined;
    const isPush = event.kind === 'push' && event.push !== undefined && !announced.has(event.seq) && event.seq < last;
    if (!isMessage && !isPush && !NOTE_KINDS.has(event.kind)) continue;
    addGaps(event.seq);
    addDay(event.created_at);
    const isOwn = event.message?.sender_id === me;
    if (!isNewShown && isMessage && !isOwn && event.seq > (newAfter ?? 0)) {
      add({ kind: 'new', key: 'new' });
      isNewShown = true;
    }
    if (event.message && isMessage) {
      const { message } = event;
      const push = pushOf(message, pushAt);
      const head = push !== undefined || !sharesHead(previous, message.sender_id, message.created_at);
      add({ kind: 'message', key: messageKey(message, me), seq: event.seq, message, head, push, at: message.created_at });
    } else if (isPush) {
      add({ kind: 'push', key: `e-${event.seq}`, seq: event.seq, push: event, head: true, at: event.created_at });
    } else {
      addNote(event);
    }
  }
  addGaps(Infinity);
  for (const item of pending) {
    addDay(item.created_at);
    const head = !sharesHead(previous, me, item.created_at);
    add({ kind: 'pending', key: `c-${item.client_id}`, pending: item, head, at: item.created_at });
  }
  setThrough(rows, last);
  return rows;

  /** @param {Event} event */
  function addNote(event) {
    if (previous?.kind !== 'note' || !previous.groups) {
      add({ kind: 'note', key: `e-${event.seq}`, seq: event.seq, groups: [{ kind: event.kind, events: [event] }], at: event.created_at });
      return;
    }
    const group = previous.groups.at(-1);
    if (group?.kind === event.kind) group.events.push(event);
    else previous.groups.push({ kind: event.kind, events: [event] });
  }
}

/**
 * Returns the key of a message. An own message keeps the key of its pending row.
 * @param {Message} message
 * @param {number} me
 */
function messageKey(message, me) {
  return message.sender_id === me && message.client_id ? `c-${message.client_id}` : `m-${message.id}`;
}

/**
 * Returns whether a message stands under the head of the row before it.
 * @param {TimelineRow | undefined} row
 * @param {number} sender
 * @param {string | number} at
 */
function sharesHead(row, sender, at) {
  if (row?.kind === 'pending') return true;
  if (row?.kind !== 'message' || !row.message || row.push) return false;
  const apart = millis(at) - millis(row.message.created_at);
  return row.message.sender_id === sender && apart <= ROWS_HEAD_MS;
}

/**
 * Sets the last event of each row: the one before the next row.
 * @param {TimelineRow[]} rows
 * @param {number} last
 */
function setThrough(rows, last) {
  let next = last + 1;
  for (const row of rows.toReversed()) {
    if (row.gap) next = row.gap.from;
    if (row.seq === undefined) continue;
    row.through = next - 1;
    next = row.seq;
  }
}

/**
 * Returns the threads of these events: replies by the id of the message that began the thread.
 * @param {Event[]} events
 * @returns {Map<number, { count: number, last: string }>}
 */
export function threadsOf(events) {
  /** @type {Map<number, { count: number, last: string }>} */
  const threads = new Map();
  for (const { message, kind } of events) {
    if (kind !== 'message' || message?.thread_id === undefined || message.deleted) continue;
    const thread = threads.get(message.thread_id) ?? { count: 0, last: message.created_at };
    threads.set(message.thread_id, { count: thread.count + 1, last: message.created_at });
  }
  return threads;
}

const NOTE_COUNTS = /** @type {Record<string, [string, string]>} */ ({
  join: ['1 joined', 'joined'], leave: ['1 left', 'left'], role: ['1 role changed', 'roles changed'],
  rename: ['renamed once', 'renames'], archive: ['archived or reopened once', 'times archived or reopened'],
  pin: ['1 pinned', 'pinned'], unpin: ['1 unpinned', 'unpinned'],
});

/** Returns a name whose direction changes nothing around it. @param {string} name */
const isolated = (name) => `\u2068${name.replace(/[\u2066-\u2069\u202a-\u202e]/gu, '')}\u2069`;

/**
 * Returns the sentence of one change. Names stand between isolates.
 * @param {Event} event
 * @param {(id: number | undefined) => string} name
 */
export function noteSentence(event, name) {
  const [actor, user] = [isolated(name(event.actor_id)), isolated(name(event.user_id))];
  const isOwn = event.user_id === event.actor_id;
  switch (event.kind) {
    case 'join': return isOwn ? `${user} joined` : `${actor} added ${user}`;
    case 'leave': return isOwn ? `${user} left` : `${actor} removed ${user}`;
    case 'role': return `${actor} made ${user} ${roleWords(event.role)}`;
    case 'rename': return `${actor} renamed the chat to “${isolated(event.name ?? '')}”`;
    case 'archive': return event.archived ? `${actor} archived the chat` : `${actor} reopened the chat`;
    case 'unpin': return `${actor} unpinned a message`;
    default: return `${actor} pinned a message`;
  }
}

/** @param {string | undefined} role */
function roleWords(role) {
  return role === 'owner' || role === 'admin' ? `an ${role}` : `a ${role ?? 'member'}`;
}

/**
 * Returns the lines of a run of changes. A line with `more` is folded: it stands for these
 * sentences.
 * @param {NoteGroup[]} groups
 * @param {(id: number | undefined) => string} name
 * @returns {{ text: string, more: string[], event?: Event }[]}
 */
export function noteLines(groups, name) {
  const lines = groups.map(({ kind, events }) => {
    const sentences = events.map((event) => noteSentence(event, name));
    if (events.length === 1) return { text: sentences[0] ?? '', more: [], event: events[0] };
    return { text: countWords(kind, events.length), more: sentences };
  });
  if (lines.length <= ROWS_NOTES_MAX) return lines;
  const kinds = [...new Set(groups.map((group) => group.kind))];
  const count = (/** @type {string} */ kind) => groups.reduce((sum, group) => sum + (group.kind === kind ? group.events.length : 0), 0);
  const sentences = groups.flatMap((group) => group.events.map((event) => noteSentence(event, name)));
  return [{ text: kinds.map((kind) => countWords(kind, count(kind))).join(' · '), more: sentences }];
}

/** @param {string} kind @param {number} count */
function countWords(kind, count) {
  const words = NOTE_COUNTS[kind] ?? ['1 change', 'changes'];
  return count === 1 ? words[0] : `${count.toLocaleString()} ${words[1]}`;
}
