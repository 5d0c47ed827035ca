// Menus made of `<details>`: Escape and a click elsewhere close them.

/** @param {Document} root */
export function menus(root) {
  const open = () => root.querySelectorAll('details[data-menu][open]');
  root.addEventListener('click', (event) => {
    for (const menu of open()) {
      if (event.target instanceof Node && !menu.contains(event.target)) menu.removeAttribute('open');
    }
  });
  root.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape') return;
    for (const menu of open()) {
      menu.removeAttribute('open');
      const summary = menu.querySelector('summary');
      if (summary instanceof HTMLElement) summary.focus();
    }
  });
}
