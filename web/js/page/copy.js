// Buttons that copy the text beside them.
import { copyText } from '../kit/clipboard.js';

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
      const isCopied = await copyText(source.dataset.text || source.textContent || '');
      if (!isCopied) getSelection()?.selectAllChildren(source);
      button.textContent = isCopied ? 'Copied' : 'Copy the selected text';
      setTimeout(() => { button.textContent = label; }, 2000);
    });
  }
}
