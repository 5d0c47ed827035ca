// The keys of the chat program: finds the command of each key. `shortcuts.js` runs the commands.

import { areKeysOff } from '../kit/kept_value.js';
import { commandOf } from './key_table.js';

/** The time between g and the next key. */
const AFTER_G_MS = 1500;

/** @param {EventTarget | null} target */
const isTextField = (target) => target instanceof HTMLElement
  && (target.isContentEditable || /^(TEXTAREA|SELECT)$/.test(target.tagName) || (target instanceof HTMLInputElement && !/^(checkbox|radio|button)$/.test(target.type)));

/**
 * Finds the command of each key.
 * @param {import('./types.js').Context} ctx
 * @param {(command: string) => void} run
 */
export function createKeys({ root, now }, run) {
  const main = root.getElementById('main');
  let gAt = -Infinity;

  /** @param {KeyboardEvent} event */
  function pressed(event) {
    if (event.defaultPrevented) return;
    const target = event.target instanceof Element ? event.target : null;
    const inDialog = root.querySelector('dialog[open]') !== null;
    const command = commandOf(event, { inField: isTextField(target), inDialog, singleOff: areKeysOff(), afterG: now() - gAt < AFTER_G_MS });
    if (event.key !== 'Shift') gAt = -Infinity;
    if (command === 'g') gAt = now();
    if (!command || command === 'g') return;
    // Arrows, Home and End belong to lists, menus and regions that scroll, except for the timeline.
    const isOwn = !target || target === root.body || target === main || target.closest('#inbox, .timeline, .chat-message') !== null;
    if (/^(Arrow|Home|End)/.test(event.key) && !event.altKey && !isOwn) return;
    event.preventDefault();
    run(command);
  }

  root.addEventListener('keydown', pressed);
}
