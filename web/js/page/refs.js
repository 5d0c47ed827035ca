// Filters the list of branches and tags while the user types.

/** @param {Document} root */
export function refPicker(root) {
  const menu = root.querySelector('details[data-picker]');
  const field = menu?.querySelector('input[name="ref"]');
  if (!(menu instanceof HTMLDetailsElement) || !(field instanceof HTMLInputElement)) return;
  menu.addEventListener('toggle', () => menu.open && field.focus());
  field.addEventListener('input', () => {
    const wanted = field.value.trim().toLowerCase();
    for (const item of menu.querySelectorAll('[data-list] li')) {
      if (item instanceof HTMLElement) item.hidden = !item.textContent?.toLowerCase().includes(wanted);
    }
  });
}
