// The text dialect of messages: a small part of Markdown, without HTML. `parseText` returns plain
// objects in linear time, `renderText` nodes. Blocks, code and links follow the rule of mentions
// (docs/PROTOCOL.md, section 17), so a highlighted name is a notified name. A backslash escapes
// nothing.

import { Meter, blocksOf, candidatesOf } from './mention.js';
import { emphasized, piecesOf, withoutEnd } from './inline.js';
import { hiddenMarker, withoutReordering } from './hidden.js';
import { el } from '../kit/dom.js';

/** @typedef {import('./inline.js').Inline} Inline */
/** @typedef {import('./inline.js').Piece} Piece */
/** @typedef {import('./inline.js').ParseState} ParseState */

/**
 * @typedef {{ type: 'paragraph', children: Inline[] }
 *   | { type: 'code_block', info: string, text: string }
 *   | { type: 'quote', children: Block[] }
 *   | List} Block
 */

/** @typedef {{ type: 'list', start: number | null, items: Item[] }} List `start`: of an ordered list */

/** @typedef {{ children: Inline[], lists: List[] }} Item */

/**
 * The things that a text refers to. A function returns null for a name that does not exist for the reader,
 * and `person` undefined for a name that may exist.
 * @typedef {object} TextContext
 * @property {{ username: string }} me
 * @property {(name: string) => { username: string, display_name?: string } | null | undefined} [person]
 *   a user of this name (lower case) who is a member of the chat
 * @property {(name: string) => { id: number } | null} [chat]
 * @property {(path: string, oid: string) => string | null} [repository] the address of
 *   `owner/project/repo` or `repo`, or of its commit if `oid` is not empty
 */

/** Maximum length of a text: the server accepts as many bytes. A longer one is not parsed. */
const PARSED_MAX = 16_384;
/** Maximum nesting of quotes, and of lists. */
const NESTING_MAX = 4;

/**
 * Returns the blocks of a text.
 * @param {string} text
 * @param {Meter} [meter]
 * @returns {Block[]}
 */
export function parseText(text, meter = new Meter()) {
  if (text.length > PARSED_MAX) return [{ type: 'paragraph', children: unparsed(text.split('\n')) }];
  return parseBlocks(text, 0, { meter, links: 0 });
}

/**
 * @param {string[]} lines
 * @returns {Inline[]}
 */
function unparsed(lines) {
  /** @type {Inline[]} */
  const children = [];
  for (const line of lines) {
    if (children.length > 0) children.push({ type: 'break' });
    if (line !== '') children.push({ type: 'text', text: line });
  }
  return children;
}

/**
 * @param {string} text
 * @param {number} depth of quotes
 * @param {ParseState} state
 * @returns {Block[]}
 */
function parseBlocks(text, depth, state) {
  return blocksOf(text, state.meter).flatMap((block) => {
    if (block.kind === 'paragraph') return parseParagraph(block.text, depth, state);
    if (block.kind === 'fence') return [codeBlock(block)];
    const lines = block.lines.map((line) => (line.startsWith(' ') ? line.slice(1) : line));
    if (depth + 1 < NESTING_MAX) return [{ type: 'quote', children: parseBlocks(lines.join('\n'), depth + 1, state) }];
    return [{ type: 'quote', children: [{ type: 'paragraph', children: unparsed(lines) }] }];
  });
}

/**
 * Returns a fence without the indent of its first line.
 * @param {Extract<import('./mention.js').Block, { kind: 'fence' }>} block
 * @returns {Block}
 */
function codeBlock({ info, lines, indent }) {
  const cut = lines.map((line) => {
    let at = 0;
    while (at < indent && (line.charAt(at) === ' ' || line.charAt(at) === '\t')) at += 1;
    return line.slice(at).replace(/\r$/, '');
  });
  return { type: 'code_block', info, text: cut.join('\n') };
}

/** @typedef {{ pieces: Piece[], item: Piece[] | null, indent: number, ordered: boolean, number: number }} Line `item`: the pieces without the mark of a list, if the line has one */

/**
 * Returns a paragraph as paragraphs and lists. A line end in a code span does not begin an item.
 * @param {string} text
 * @param {number} depth
 * @param {ParseState} state
 * @returns {Block[]}
 */
function parseParagraph(text, depth, state) {
  /** @type {Block[]} */
  const blocks = [];
  /** @type {Piece[]} */
  let plain = [];
  /** @type {OpenList[]} */
  const open = [];
  /** @type {{ item: Item, pieces: Piece[] }[]} */
  const items = [];
  const endPlain = () => {
    if (plain.length > 0) blocks.push({ type: 'paragraph', children: emphasized(text, plain, state) });
    plain = [];
  };
  for (const line of paragraphLines(text, piecesOf(text, depth === 0, state), state)) {
    const joined = line.first ? [line.first, ...line.pieces] : line.pieces;
    const begins = (open.length > 0 || plain.length === 0 || !line.ordered || line.number === 1);
    if (begins && line.item) {
      endPlain();
      /** @type {Item} */
      const item = { children: [], lists: [] };
      placeItem(open, blocks, line, item);
      items.push({ item, pieces: line.item });
    } else if (open.length > 0 && line.indent >= 2) {
      const last = items.at(-1)?.pieces;
      for (const piece of joined) last?.push(piece);
    } else {
      open.length = 0;
      // The line end before the first line of a paragraph is not part of it.
      for (const piece of plain.length === 0 ? line.pieces : joined) plain.push(piece);
    }
  }
  endPlain();
  for (const { item, pieces } of items) item.children = emphasized(text, pieces, state);
  return blocks;
}

/** @typedef {{ list: List, indent: number, ordered: boolean, last: Item }} OpenList */

/**
 * Appends an item to the list that its indent names, or begins a list.
 * @param {OpenList[]} open the lists around, the innermost last
 * @param {Block[]} blocks
 * @param {Line} line
 * @param {Item} item
 */
function placeItem(open, blocks, line, item) {
  while (open.length > 1 && line.indent < (open.at(-1)?.indent ?? 0)) open.pop();
  const top = open.at(-1);
  const isDeeper = top !== undefined && line.indent >= top.indent + 2 && open.length < NESTING_MAX;
  if (top && !isDeeper && top.ordered === line.ordered) {
    top.list.items.push(item);
    top.last = item;
    return;
  }
  /** @type {List} */
  const list = { type: 'list', start: line.ordered ? line.number : null, items: [item] };
  if (top && !isDeeper) open.pop();
  const parent = open.at(-1);
  if (parent) parent.last.lists.push(list);
  else blocks.push(list);
  open.push({ list, indent: line.indent, ordered: line.ordered, last: item });
}

/**
 * Returns the lines of a paragraph. `first` is the line end before a line.
 * @param {string} text
 * @param {Piece[]} pieces
 * @param {ParseState} state
 * @returns {(Line & { first: Piece | null })[]}
 */
function paragraphLines(text, pieces, state) {
  /** @type {(Line & { first: Piece | null })[]} */
  const lines = [];
  /** @type {Piece | null} */
  let first = null;
  /** @type {Piece[]} */
  let own = [];
  const endLine = () => {
    lines.push({ ...lineBegin(text, own, state), first });
  };
  for (const piece of pieces) {
    if (piece.node?.type === 'break') {
      endLine();
      [first, own] = [piece, []];
    } else {
      own.push(piece);
    }
  }
  endLine();
  return lines;
}

/**
 * Returns a line with its indent and its mark of a list.
 * @param {string} text
 * @param {Piece[]} pieces
 * @param {ParseState} state
 * @returns {Line}
 */
function lineBegin(text, pieces, state) {
  const begin = pieces[0];
  const none = { pieces, item: null, indent: 0, ordered: false, number: 0 };
  if (!begin || begin.node) return none;
  let at = begin.from;
  let indent = 0;
  while (at < begin.to && ' \t'.includes(text.charAt(at))) {
    indent += text.charAt(at) === '\t' ? 4 : 1;
    at += 1;
  }
  const mark = /^(?:[-*]|\d{1,9}[.)])(?=[ \t])/.exec(text.slice(at, Math.min(begin.to, at + 12)))?.[0] ?? '';
  let content = at + mark.length;
  while (content < begin.to && ' \t\r'.includes(text.charAt(content))) content += 1;
  state.meter.steps += content - begin.from + 1;
  const isBlank = content >= begin.to && pieces.length === 1;
  if (mark === '' || isBlank) return { ...none, indent };
  const item = pieces.slice(1);
  if (content < begin.to) item.unshift({ from: content, to: begin.to, node: null });
  const ordered = mark.length > 1;
  return { pieces, item, indent, ordered, number: ordered ? Number.parseInt(mark, 10) : 0 };
}

/**
 * Returns a text without markup in one line, for quotes, announcements and notices outside of the
 * page. Quoted blocks are left out, unless there is nothing else.
 * @param {Block[]} tree
 * @param {number} [limit] maximum characters
 */
export function plainText(tree, limit = 1_000) {
  const own = tree.filter((block) => block.type !== 'quote');
  const parts = (own.length > 0 ? own : tree).map(plainBlock);
  const line = withoutReordering(parts.join(' ')).replace(/[\s\p{Cc}]+/gu, ' ').trim();
  const chars = [...line];
  return chars.length > limit ? `${chars.slice(0, limit - 1).join('')}…` : line;
}

/**
 * @param {Block} block
 * @returns {string}
 */
function plainBlock(block) {
  if (block.type === 'code_block') return block.text;
  if (block.type === 'paragraph') return plainInline(block.children);
  if (block.type === 'quote') return block.children.map(plainBlock).join(' ');
  return block.items.map(({ children, lists }) => [plainInline(children), ...lists.map(plainBlock)].join(' ')).join('; ');
}

/**
 * @param {Inline[]} children
 * @returns {string}
 */
function plainInline(children) {
  return children.map((node) => {
    if (node.type === 'text' || node.type === 'code') return node.text;
    if (node.type === 'break') return ' ';
    if (node.type === 'mention') return `@${node.written}`;
    if (node.type === 'chat') return `#${node.name}`;
    if (node.type === 'repository') return referenceText(node.path, node.oid);
    if (node.type === 'emoji') return node.char;
    return plainInline(node.children);
  }).join('');
}

/** @param {string} path @param {string} oid */
const referenceText = (path, oid) => (oid ? `${path}@${oid}` : path);

/**
 * Returns a text as nodes.
 * @param {Block[]} tree
 * @param {TextContext} context
 * @returns {DocumentFragment}
 */
export function renderText(tree, context) {
  const fragment = document.createDocumentFragment();
  const writer = new TextWriter(context);
  fragment.append(...tree.map((block) => writer.block(block)));
  return fragment;
}

/** Creates the nodes of one text. */
class TextWriter {
  /** @param {TextContext} context */
  constructor(context) {
    this.context = context;
    this.marked = hiddenMarker();
  }

  /**
   * @param {Block} block
   * @returns {Node}
   */
  block(block) {
    if (block.type === 'paragraph') return withOwnDirection(el('p', null, ...this.inline(block.children)));
    if (block.type === 'quote') return withOwnDirection(el('blockquote', null, ...block.children.map((child) => this.block(child))));
    if (block.type === 'code_block') return this.code(block.info, block.text);
    return this.list(block);
  }

  /**
   * @param {string} info
   * @param {string} text
   */
  code(info, text) {
    const language = info.split(/\s/)[0] ?? '';
    const head = el('figcaption', null, el('bdi', null, ...this.marked(withoutEnd(info, ' \t\r'), true)),
      el('button', { type: 'button', class: 'plain', dataset: { copyCode: '' }, 'aria-label': language ? `Copy the code (${language})` : 'Copy the code' }, 'Copy'));
    return el('figure', { class: 'code-text', dir: 'ltr' }, head,
      el('pre', { tabindex: 0 }, el('code', null, ...this.marked(text, true))));
  }

  /**
   * @param {List} list
   * @returns {Node}
   */
  list({ start, items }) {
    const nodes = items.map(({ children, lists }) => withOwnDirection(el('li', null, ...this.inline(children), ...lists.map((list) => this.list(list)))));
    if (start === null) return el('ul', null, ...nodes);
    return el('ol', start === 1 ? null : { start }, ...nodes);
  }

  /**
   * @param {Inline[]} children
   * @returns {(Node | string)[]}
   */
  inline(children) {
    return children.flatMap((node) => this.node(node));
  }

  /**
   * @param {Inline} node
   * @returns {(Node | string)[]}
   */
  node(node) {
    switch (node.type) {
      case 'text': return this.marked(node.text, false);
      case 'break': return [el('br', null)];
      case 'em': return [el('em', null, ...this.inline(node.children))];
      case 'strong': return [el('strong', null, ...this.inline(node.children))];
      case 'code': return [el('code', { dir: 'ltr' }, ...this.marked(node.text, true))];
      case 'emoji': return [el('span', { class: 'emoji', role: 'img', 'aria-label': node.name.replaceAll('_', ' '), title: `:${node.name}:` }, node.char)];
      case 'mention': return this.mention(node.written);
      case 'chat': return this.chat(node.name);
      case 'repository': return this.repository(node.path, node.oid);
      default: return this.link(node);
    }
  }

  /** @param {Extract<Inline, { type: 'link' }>} node */
  link(node) {
    const { href, external, address, children } = node;
    const isBare = children.length === 1 && children[0]?.type === 'text' && children[0].text === address;
    const isOther = external && !href.startsWith(`${location.origin}/`);
    const props = isOther ? { rel: 'noopener noreferrer nofollow', target: href.startsWith('mailto:') ? null : '_blank' } : {};
    const link = el('a', { href, dir: isBare ? 'ltr' : 'auto', title: isBare ? null : href, ...props }, ...this.inline(children));
    // A text must not hide where the link leads.
    if (!isOther || isBare) return [link];
    return [link, ' ', el('bdi', { class: 'host muted', dir: 'ltr' }, `(${linkedHost(href)})`)];
  }

  /** @param {string} written */
  mention(written) {
    const names = candidatesOf(written);
    const stem = names.at(-1);
    if (stem === undefined) return this.marked(`@${written}`, false);
    const found = names.find((name) => this.context.person?.(name)) ?? stem;
    if (stem !== 'all' && this.context.person && this.context.person(found) === null) return this.marked(`@${written}`, false);
    const isOwn = stem === 'all' || found === this.context.me.username;
    const shown = stem === 'all' ? stem : found;
    const props = { class: isOwn ? 'mention own' : 'mention' };
    const name = `@${written.slice(0, shown.length)}`;
    const node = stem === 'all' ? el('bdi', props, name) : el('a', { ...props, href: `/people/${encodeURIComponent(found)}` }, el('bdi', null, name));
    return [node, written.slice(shown.length)];
  }

  /** @param {string} name */
  chat(name) {
    const chat = this.context.chat?.(name);
    if (!chat) return this.marked(`#${name}`, false);
    return [el('a', { class: 'chat-name', href: `/chat/${chat.id}` }, el('bdi', null, `#${name}`))];
  }

  /** @param {string} path @param {string} oid */
  repository(path, oid) {
    const isFull = path.includes('/');
    const href = this.context.repository?.(path, oid) ?? (isFull && oid ? `/${path}/-/commit/${oid}` : null);
    if (href === null) return this.marked(referenceText(path, oid), false);
    return [el('a', { class: 'reference', href, dir: 'ltr' }, referenceText(path, oid))];
  }
}

/**
 * Sets `dir=auto` on an element that has its children: otherwise the browser finds the direction
 * again with each appended child.
 * @template {HTMLElement} T
 * @param {T} node
 */
function withOwnDirection(node) {
  node.dir = 'auto';
  return node;
}

/** @param {string} href */
const linkedHost = (href) => (href.startsWith('mailto:') ? href.slice(7) : new URL(href).host);
