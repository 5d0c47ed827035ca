// Menus made of `<details>`: Escape and a click elsewhere close them. An Escape that closed a menu has
// its default prevented, so that it does nothing else.

/** @param {Document} root */
export function menus(root) {
  const open = () => root.querySelectorAll('details[data-menu][open]');
  root.addEventListener('click', (event) => {
    for (const menu of open()) {
      if (event.target instanceof Node && !menu.contains(event.target)) menu.removeAttribute('open');
    }
  });
  root.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || event.defaultPrevented) return;
    for (const menu of open()) {
      event.preventDefault();
      menu.removeAttribute('open');
      const summary = menu.querySelector('summary');
      if (summary instanceof HTMLElement) summary.focus();
    }
  });
}
