// Shows a new or removed picture on a page that stays open: that of the visitor in the header, and that
// of the project in its head. `data-live` has the address of the user or project in the API.
import { whileVisible } from './while_visible.js';

/** The content of each place without a picture. @type {WeakMap<HTMLElement, HTMLElement | undefined>} */
const plainFaces = new WeakMap();

/**
 * Returns the content of a place without a picture: the initials, or nothing for a project.
 * @param {HTMLElement} place
 */
function plainFace(place) {
  const [shown] = /** @type {HTMLCollectionOf<HTMLElement>} */ (place.children);
  if (!(shown instanceof HTMLImageElement)) return shown;
  if (!shown.dataset.initials) return undefined;
  const face = document.createElement('span');
  face.className = `avatar ${shown.dataset.hue}`;
  face.ariaHidden = 'true';
  face.textContent = shown.dataset.initials;
  return face;
}

/**
 * Shows a version of the picture, or none.
 * @param {HTMLElement} place
 * @param {string | undefined} version
 */
function showFace(place, version) {
  if (!plainFaces.has(place)) plainFaces.set(place, plainFace(place));
  const plain = plainFaces.get(place);
  const src = version ? `${place.dataset.live}/avatar?v=${version}` : null;
  const before = place.querySelector('img')?.getAttribute('src') ?? null;
  if (src === before) return;
  if (!src) return place.replaceChildren(...(plain ? [plain] : []));
  const image = document.createElement('img');
  image.className = plain ? 'avatar' : 'avatar square';
  image.alt = '';
  image.src = src;
  place.replaceChildren(image);
}

/** @param {Document} root */
export function liveFaces(root) {
  whileVisible(root, async () => {
    for (const place of /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll('[data-live]'))) {
      try {
        const response = await fetch(place.dataset.live ?? '', { headers: { 'X-NetBit-Web': '1' }, cache: 'no-store' });
        if (response.ok) showFace(place, (await response.json()).avatar);
      } catch {
        // The page keeps the picture that it has.
      }
    }
  }, true);
}
