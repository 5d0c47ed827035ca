// Small helps in forms.

/**
 * Lets the user see the typed password.
 * @param {Document} root
 */
export function passwordButtons(root) {
  for (const button of root.querySelectorAll('button[data-show]')) {
    if (!(button instanceof HTMLButtonElement)) continue;
    const input = root.getElementById(button.dataset.show ?? '');
    if (!(input instanceof HTMLInputElement)) continue;
    button.hidden = false;
    button.setAttribute('aria-pressed', 'false');
    button.addEventListener('click', () => {
      const shown = input.type === 'text';
      input.type = shown ? 'password' : 'text';
      button.textContent = shown ? 'Show' : 'Hide';
      button.setAttribute('aria-pressed', String(!shown));
    });
  }
}

/**
 * Moves the focus to the problems of a form that was sent.
 * @param {ParentNode} root
 */
export function focusProblems(root) {
  const problems = root.querySelector('[data-focus]');
  if (problems instanceof HTMLElement) problems.focus();
}

/**
 * Takes the setup code from the address into the form, and out of the address.
 * @param {Document} root
 * @param {Location} place
 */
export function setupCode(root, place) {
  const input = root.querySelector('form[data-setup] input[name=code]');
  if (!(input instanceof HTMLInputElement)) return;
  const take = () => {
    const code = new URLSearchParams(place.hash.slice(1)).get('code');
    if (!code) return;
    input.value = code;
    const field = input.closest('.field');
    if (field instanceof HTMLElement) field.hidden = true;
    history.replaceState(null, '', place.pathname);
  };
  take();
  // The address was pasted into a tab that shows this page already.
  addEventListener('hashchange', take);
}
