// Requests pages of the history for the timeline: one at a time for each place. A refused one is
// requested again by its button, or when the connection returns. No DOM.

/** Pages in a row that are requested without a new row and without a movement of the reader. */
const PAGES_IDLE_MAX = 12;

/** @typedef {'up' | 'down' | 'gap' | 'jump'} PagePlace */

/**
 * @param {object} parts
 * @param {import('./types.js').Context} parts.ctx
 * @param {() => number} parts.chat the open chat
 * @param {() => boolean | void} parts.changed draws the page; returns false if it has no new row
 */
export function createPages({ ctx, chat, changed }) {
  /** @type {Set<PagePlace>} */
  const loading = new Set();
  /** @type {Set<PagePlace>} */
  const failed = new Set();
  let idle = 0;
  const rangesNow = () => JSON.stringify(ctx.store.timeline(chat()).ranges);

  /**
   * Requests a page. Returns why a jump failed.
   * @param {import('./types.js').PageRange} range
   * @param {PagePlace} place
   * @returns {Promise<unknown>}
   */
  async function load(range, place) {
    if (place !== 'jump' && (loading.has(place) || failed.has(place))) return undefined;
    const own = chat();
    const before = rangesNow();
    loading.add(place);
    let isMore = false;
    /** @type {unknown} */
    let problem;
    try {
      await ctx.actions.page(own, range);
      // A page without any event must not be requested again and again.
      isMore = own === chat() && rangesNow() !== before;
    } catch (error) {
      problem = error; // The row of this place has a button.
    }
    if (own !== chat()) return undefined;
    loading.delete(place);
    if (!isMore && place !== 'jump') failed.add(place);
    if (place === 'jump') return problem;
    idle = changed() === false ? idle + 1 : 0;
    if (idle < PAGES_IDLE_MAX || failed.has(place)) return undefined;
    failed.add(place);
    changed();
    return undefined;
  }

  return {
    load,
    /** @param {PagePlace} place */
    isLoading: (place) => loading.has(place),
    /** @param {PagePlace} place */
    isFailed: (place) => failed.has(place),
    /** @param {PagePlace} place */
    retry: (place) => {
      failed.delete(place);
      idle = 0;
    },
    /** The reader moves. */
    moved: () => { idle = 0; },
    /** Permits all places again. Returns whether one had failed. */
    retryAll() {
      const had = failed.size > 0;
      failed.clear();
      return had;
    },
    reset() {
      loading.clear();
      failed.clear();
      idle = 0;
    },
  };
}
