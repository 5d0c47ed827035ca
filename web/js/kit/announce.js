// The live region: at most one sentence a second for screen readers.

const ANNOUNCE_EVERY_MS = 1000;
const ANNOUNCE_WAITING_MAX = 5;

/**
 * Returns the function that announces a sentence. Of many sentences the newest remain.
 * @param {HTMLElement | null} region an element with role=status
 * @returns {(sentence: string) => void}
 */
export function createAnnounce(region) {
  /** @type {string[]} */
  const waiting = [];
  let isBusy = false;
  const next = () => {
    const sentence = waiting.shift();
    isBusy = sentence !== undefined;
    if (sentence === undefined || !region) return;
    // An equal text is not announced again: the no-break space makes it another text.
    region.textContent = region.textContent === sentence ? `${sentence}\u00a0` : sentence;
    setTimeout(next, ANNOUNCE_EVERY_MS);
  };
  return (sentence) => {
    if (!region || sentence === '') return;
    waiting.push(sentence);
    if (waiting.length > ANNOUNCE_WAITING_MAX) waiting.shift();
    if (!isBusy) next();
  };
}
