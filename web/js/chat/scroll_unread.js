// The way to unread chats that are not visible in the list.

/**
 * Shows the next unread chat that is above (-1) or below (1) the visible part of the list.
 * @param {HTMLElement} list
 * @param {-1 | 1} step
 */
export function scrollToUnread(list, step) {
  const frame = list.getBoundingClientRect();
  const hidden = [...list.querySelectorAll('.is-unread')].filter((row) => {
    const box = row.getBoundingClientRect();
    return step < 0 ? box.bottom <= frame.top + 4 : box.top >= frame.bottom - 4;
  });
  const row = hidden.at(step < 0 ? -1 : 0);
  row?.scrollIntoView({ block: step < 0 ? 'start' : 'end' });
  row?.querySelector('a')?.focus({ preventScroll: true });
}
