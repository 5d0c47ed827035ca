// Requests pages of the history for the timeline: one at a time for each place. A refused one is
// requested again by its button, or when the connection returns. No DOM.

/** @typedef {'up' | 'down' | 'gap' | 'jump'} PagePlace */

/**
 * @param {object} parts
 * @param {import('./types.js').Context} parts.ctx
 * @param {() => number} parts.chat the open chat
 * @param {() => void} parts.changed
 */
export function createPages({ ctx, chat, changed }) {
  /** @type {Set<PagePlace>} */
  const loading = new Set();
  /** @type {Set<PagePlace>} */
  const failed = new Set();
  const rangesNow = () => JSON.stringify(ctx.store.timeline(chat()).ranges);

  /**
   * @param {import('./types.js').PageRange} range
   * @param {PagePlace} place
   */
  async function load(range, place) {
    if (place !== 'jump' && (loading.has(place) || failed.has(place))) return;
    const own = chat();
    const before = rangesNow();
    loading.add(place);
    let isMore = false;
    try {
      await ctx.actions.page(own, range);
      // A page without any event must not be requested again and again.
      isMore = own === chat() && rangesNow() !== before;
    } catch {
      // The row of this place has a button.
    }
    if (own !== chat()) return;
    loading.delete(place);
    if (!isMore && place !== 'jump') failed.add(place);
    if (place !== 'jump') changed();
  }

  return {
    load,
    /** @param {PagePlace} place */
    isLoading: (place) => loading.has(place),
    /** @param {PagePlace} place */
    isFailed: (place) => failed.has(place),
    /** @param {PagePlace} place */
    retry: (place) => { failed.delete(place); },
    /** Permits all places again. Returns whether one had failed. */
    retryAll() {
      const had = failed.size > 0;
      failed.clear();
      return had;
    },
    reset() {
      loading.clear();
      failed.clear();
    },
  };
}
