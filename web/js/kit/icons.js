// Line icons of 16 px. An icon always stands beside a word or inside a labelled control.

const ICON_SPACE = 'http://www.w3.org/2000/svg';

/** The path of each icon, drawn with a line of 1.5 px in the colour of the text. */
const ICON_PATHS = /** @type {const} */ ({
  archive: 'M2 3h12v3H2zM3 6v7h10V6M6.5 9h3',
  at: 'M10.5 8a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0zM10.5 5.5V9a1.6 1.6 0 0 0 3.2 0V8A5.7 5.7 0 1 0 11 12.8',
  bell: 'M4 7a4 4 0 0 1 8 0c0 3 1.5 4 1.5 4h-11S4 10 4 7zM6.8 13.5h2.4',
  bell_off: 'M5 4.4A4 4 0 0 1 12 7c0 1.3.3 2.3.6 3M10.5 11h-8S4 10 4 7M6.8 13.5h2.4M2 2l12 12',
  branch: 'M4.5 2v8M4.5 14a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM11.5 6a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM11.5 6c0 3-4 2.5-6.3 4.2',
  chat: 'M2.5 3h11v8H7l-3 2.5V11H2.5z',
  check: 'M3 8.5l3.2 3.2L13 4.8',
  checks: 'M1.5 8.5l3 3L11 5M7.5 11l.6.6L14.5 5',
  clock: 'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 4.8V8l2.2 1.6',
  close: 'M4 4l8 8M12 4l-8 8',
  code: 'M5.5 4.5L2 8l3.5 3.5M10.5 4.5L14 8l-3.5 3.5',
  commit: 'M8 10.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5zM1.5 8h4M10.5 8h4',
  copy: 'M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3',
  down: 'M4 6l4 4 4-4',
  edit: 'M3 13l.6-2.9L10.8 3l2.2 2.2-7.1 7.2z',
  eye: 'M1.5 8S4 3.8 8 3.8 14.5 8 14.5 8 12 12.2 8 12.2 1.5 8 1.5 8zM8 9.8a1.8 1.8 0 1 0 0-3.6 1.8 1.8 0 0 0 0 3.6z',
  filter: 'M2 4h12M4.5 8h7M6.5 12h3',
  hash: 'M6 2.5l-1.2 11M11.2 2.5L10 13.5M2.8 5.8h11M2.2 10.2h11',
  hide: 'M2 8s2.4-4 6-4 6 4 6 4-2.4 4-6 4-6-4-6-4zM3 13L13 3',
  inbox: 'M2 9l2-6h8l2 6v4H2zM2 9h3.5l1 2h3l1-2H14',
  leave: 'M9.5 3h-6v10h6M6.5 8h7M11 5.5L13.5 8 11 10.5',
  left: 'M10 4L6 8l4 4',
  link: 'M6.8 9.2a2.6 2.6 0 0 0 3.7 0l2-2a2.6 2.6 0 0 0-3.7-3.7l-.9.9M9.2 6.8a2.6 2.6 0 0 0-3.7 0l-2 2a2.6 2.6 0 0 0 3.7 3.7l.9-.9',
  lock: 'M3.5 7h9v6.5h-9zM5.5 7V5a2.5 2.5 0 0 1 5 0v2',
  menu: 'M2.5 4h11M2.5 8h11M2.5 12h11',
  more: 'M3.5 8h.01M8 8h.01M12.5 8h.01',
  people: 'M6 7.5a2.3 2.3 0 1 0 0-4.6 2.3 2.3 0 0 0 0 4.6zM1.8 13c0-2.3 1.9-3.8 4.2-3.8s4.2 1.5 4.2 3.8M10.5 7.2a2 2 0 0 0 0-4M12 9.6c1.4.5 2.3 1.7 2.3 3.4',
  person: 'M8 7.5a2.6 2.6 0 1 0 0-5.2 2.6 2.6 0 0 0 0 5.2zM3 13.6c0-2.6 2.2-4.2 5-4.2s5 1.6 5 4.2',
  pin: 'M6 2.5h4l-.5 4 2 2.5h-7l2-2.5zM8 9v4.5',
  plus: 'M8 3v10M3 8h10',
  project: 'M2 4h4.5L8 5.5h6V13H2z',
  quote: 'M3 4.5h3.5V8c0 2-1.2 3-3 3.5M9.5 4.5H13V8c0 2-1.2 3-3 3.5',
  react: 'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM5.5 9.3a2.8 2.8 0 0 0 5 0M6 6.3v.4M10 6.3v.4',
  reply: 'M6.5 4L3 7.5 6.5 11M3 7.5h6.5A3.5 3.5 0 0 1 13 11v1.5',
  retry: 'M13 8a5 5 0 1 1-1.6-3.7L13 5.8M13 2.5v3.3H9.7',
  right: 'M6 4l4 4-4 4',
  search: 'M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9zM10.3 10.3L13.5 13.5',
  send: 'M2.5 3l11 5-11 5 1.8-5zM4.3 8H9',
  settings: 'M2 5h6M11.5 5H14M2 11h2.5M8 11h6M9.7 6.7a1.7 1.7 0 1 0 0-3.4 1.7 1.7 0 0 0 0 3.4zM6.2 12.7a1.7 1.7 0 1 0 0-3.4 1.7 1.7 0 0 0 0 3.4z',
  tag: 'M2.5 2.5h5.2l5.8 5.8-5.2 5.2-5.8-5.8zM5.3 5.3h.01',
  thread: 'M2.5 3h11v7H8l-2.5 2.5V10h-3zM5 5.5h6M5 7.5h4',
  trash: 'M3 4.5h10M6 4.5v-2h4v2M4.3 4.5l.6 9h6.2l.6-9M6.7 7v4M9.3 7v4',
  up: 'M4 10l4-4 4 4',
  warning: 'M8 2.5L14.5 13.5h-13zM8 6.5v3M8 11.5v.2',
});

/** @typedef {keyof typeof ICON_PATHS} IconName */

/**
 * Returns an icon that assistive technology ignores.
 * @param {IconName} name
 * @returns {SVGSVGElement}
 */
export function icon(name) {
  const svg = document.createElementNS(ICON_SPACE, 'svg');
  const path = document.createElementNS(ICON_SPACE, 'path');
  const attributes = { viewBox: '0 0 16 16', width: '16', height: '16', fill: 'none', stroke: 'currentColor', 'stroke-width': '1.5', 'stroke-linecap': 'round', 'stroke-linejoin': 'round', 'aria-hidden': 'true', focusable: 'false', class: 'icon' };
  for (const [key, value] of Object.entries(attributes)) svg.setAttribute(key, value);
  path.setAttribute('d', ICON_PATHS[name]);
  svg.append(path);
  return svg;
}
