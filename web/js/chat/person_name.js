// The name under which a user is shown.

/**
 * Returns the display name, with the user name if another user could be meant.
 * @param {import('./types.js').Context} ctx
 * @param {number | undefined} id
 */
export function personName(ctx, id) {
  if (id === undefined) return 'A user';
  const user = ctx.store.user(id);
  const { display_name: shown, username } = user;
  if (!shown) return username;
  return shown !== username && (shown.includes('@') || ctx.store.isShared(id)) ? `${shown} @${username}` : shown;
}
