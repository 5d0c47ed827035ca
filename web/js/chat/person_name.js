// The name under which a user is shown.

/**
 * @param {import('./types.js').Context} ctx
 * @param {number | undefined} id
 */
export function personName(ctx, id) {
  if (id === undefined) return 'A user';
  const user = ctx.store.user(id);
  return user.display_name || user.username;
}
