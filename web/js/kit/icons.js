// Line icons of 16 px. An icon always stands beside a word or inside a labelled control.

const ICON_SPACE = 'http://www.w3.org/2000/svg';

/** The path of each icon, drawn with a line of 1.5 px in the colour of the text. */
const FIRST_ICONS = /** @type {const} */ ({
  archive: 'M2 3h12v3H2zM3 6v7h10V6M6.5 9h3',
  attach: 'M12.5 7.5l-4.8 4.8a2.9 2.9 0 0 1-4.1-4.1l5.1-5.1a1.9 1.9 0 0 1 2.7 2.7l-5 5a.9.9 0 0 1-1.3-1.3l4.4-4.4',
  branch: 'M4.5 2v8M4.5 14a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM11.5 6a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM11.5 6c0 3-4 2.5-6.3 4.2',
  check: 'M3 8.5l3.2 3.2L13 4.8',
  checks: 'M1.5 8.5l3 3L11 5M7.5 11l.6.6L14.5 5',
  clock: 'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 4.8V8l2.2 1.6',
  down: 'M4 6l4 4 4-4',
  hash: 'M6 2.5l-1.2 11M11.2 2.5L10 13.5M2.8 5.8h11M2.2 10.2h11',
  left: 'M10 4L6 8l4 4',
  more: 'M3.5 8h.01M8 8h.01M12.5 8h.01',
  mute: 'M4.5 9V6.2a3.5 3.5 0 0 1 7 0V9L13 11.5H3zM6.8 13.7h2.4M2.5 2.5l11 11',
  people: 'M6 7.5a2.3 2.3 0 1 0 0-4.6 2.3 2.3 0 0 0 0 4.6zM1.8 13c0-2.3 1.9-3.8 4.2-3.8s4.2 1.5 4.2 3.8M10.5 7.2a2 2 0 0 0 0-4M12 9.6c1.4.5 2.3 1.7 2.3 3.4',
  pin: 'M6 2.5h4l-.5 4 2 2.5h-7l2-2.5zM8 9v4.5',
  plus: 'M8 3v10M3 8h10',
  project: 'M2 4h4.5L8 5.5h6V13H2z',
  react: 'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM5.5 9.3a2.8 2.8 0 0 0 5 0M6 6.3v.4M10 6.3v.4',
  reply: 'M6.5 4L3 7.5 6.5 11M3 7.5h6.5A3.5 3.5 0 0 1 13 11v1.5',
  retry: 'M13 8a5 5 0 1 1-1.6-3.7L13 5.8M13 2.5v3.3H9.7',
  send: 'M2.5 3l11 5-11 5 1.8-5zM4.3 8H9',
  tag: 'M2.5 2.5h5.2l5.8 5.8-5.2 5.2-5.8-5.8zM5.3 5.3h.01',
  thread: 'M2.5 3h11v7H8l-2.5 2.5V10h-3zM5 5.5h6M5 7.5h4',
  trash: 'M3 4.5h10M6 4.5v-2h4v2M4.3 4.5l.6 9h6.2l.6-9M6.7 7v4M9.3 7v4',
  up: 'M4 10l4-4 4 4',
  warning: 'M8 2.5L14.5 13.5h-13zM8 6.5v3M8 11.5v.2',
});

/** @type {Record<string, string>} */
const iconPaths = { ...FIRST_ICONS };

/** @typedef {keyof typeof FIRST_ICONS | keyof typeof import('./icons_more.js').MORE_ICONS} IconName */

/**
 * Adds the icons of a part of the program that was loaded later.
 * @param {Record<string, string>} paths
 */
export function addIcons(paths) {
  Object.assign(iconPaths, paths);
}

/**
 * Returns an icon that assistive technology ignores.
 * @param {IconName} name
 * @returns {SVGSVGElement}
 */
export function icon(name) {
  return svgMark({ class: 'icon', fill: 'none', stroke: 'currentColor', 'stroke-width': '1.5', 'stroke-linecap': 'round', 'stroke-linejoin': 'round' }, ['path', { d: iconPaths[name] ?? '' }]);
}

/**
 * Returns a drawing of 16 px that assistive technology ignores.
 * @param {Record<string, string>} attributes
 * @param {...[string, Record<string, string>]} shapes
 * @returns {SVGSVGElement}
 */
export function svgMark(attributes, ...shapes) {
  const svg = document.createElementNS(ICON_SPACE, 'svg');
  setAttributes(svg, { viewBox: '0 0 16 16', width: '16', height: '16', 'aria-hidden': 'true', focusable: 'false', ...attributes });
  for (const [tag, values] of shapes) setAttributes(svg.appendChild(document.createElementNS(ICON_SPACE, tag)), values);
  return svg;
}

/** @param {Element} node @param {Record<string, string>} attributes */
function setAttributes(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
}
