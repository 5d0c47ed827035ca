// Buttons that copy the text beside them.

/**
 * Copies text. The clipboard does not exist on plain http addresses of other machines, so the text
 * is then selected and copied by the older command.
 * @param {string} text
 * @param {HTMLElement} source
 */
async function copy(text, source) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  getSelection()?.selectAllChildren(source);
  if (!document.execCommand('copy')) throw new Error('the browser did not copy');
}

/**
 * Shows the buttons, which need this script.
 * @param {ParentNode} root
 */
export function copyButtons(root) {
  for (const button of root.querySelectorAll('button[data-copy]')) {
    const source = button.parentElement?.querySelector('[data-text]');
    if (!(button instanceof HTMLButtonElement) || !(source instanceof HTMLElement)) continue;
    button.hidden = false;
    const label = button.textContent;
    button.addEventListener('click', async () => {
      try {
        await copy(source.dataset.text || source.textContent || '', source);
        button.textContent = 'Copied';
      } catch {
        button.textContent = 'Select and copy the text';
      }
      setTimeout(() => { button.textContent = label; }, 2000);
    });
  }
}
