// Filters the list of branches and tags while the user types.
import { folded } from '../kit/folded.js';

/** @param {Document} root */
export function refPicker(root) {
  const menu = root.querySelector('details[data-picker]');
  const field = menu?.querySelector('input[name="ref"]');
  if (!(menu instanceof HTMLDetailsElement) || !(field instanceof HTMLInputElement)) return;
  menu.addEventListener('toggle', () => menu.open && field.focus());
  field.addEventListener('input', () => {
    const wanted = folded(field.value.trim());
    for (const item of menu.querySelectorAll('[data-list] li')) {
      if (item instanceof HTMLElement) item.hidden = !folded(item.textContent ?? '').includes(wanted);
    }
  });
}
