// Shows a new or removed picture on a page that stays open: that of the visitor in the header, and that
// of the project in its head. `data-live` has the address of the user or project in the API.

/** A visible page asks this often (milliseconds), and when it becomes visible again. */
const FACES_EVERY_MS = 30_000;
const FACES_LEAST_MS = 5_000;

/**
 * Shows a version of the picture; without one, the initials, if there are any.
 * @param {HTMLElement} place
 * @param {string | undefined} version
 */
function showFace(place, version) {
  const { live, initials = '', hue } = place.dataset;
  const src = version ? `${live}/avatar?v=${version}` : null;
  const before = place.querySelector('img')?.getAttribute('src') ?? null;
  if (src === before) return;
  const face = document.createElement(src ? 'img' : 'span');
  face.className = hue ? 'avatar' : 'avatar square';
  if (face instanceof HTMLImageElement && src) {
    face.alt = '';
    face.src = src;
  } else {
    face.className = `avatar ${hue}`;
    face.ariaHidden = 'true';
    face.textContent = initials;
  }
  place.replaceChildren(...(src || initials ? [face] : []));
}

/** @param {Document} root */
export function liveFaces(root) {
  let askedAt = performance.now();

  async function ask() {
    if (root.hidden || performance.now() - askedAt < FACES_LEAST_MS) return;
    askedAt = performance.now();
    for (const place of /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll('[data-live]'))) {
      try {
        const response = await fetch(place.dataset.live ?? '', { headers: { 'X-NetBit-Web': '1' }, cache: 'no-store' });
        if (response.ok) showFace(place, (await response.json()).avatar);
      } catch {
        // The page keeps the picture that it has.
      }
    }
  }

  root.addEventListener('visibilitychange', ask);
  addEventListener('pageshow', (event) => {
    if (!event.persisted) return;
    askedAt = -Infinity;
    void ask();
  });
  setInterval(ask, FACES_EVERY_MS);
}
