// What `measure_chat.mjs` runs in the page: times are those of frames that were painted.

/** Waits until the newest message is on the screen and the composer has the focus; ms since the navigation began. */
export const openOnScreen = (last) => new Promise((done) => {
  const look = () => {
    const scroller = document.querySelector('.timeline-scroll')?.getBoundingClientRect();
    const row = [...document.querySelectorAll('.messages article[data-seq]')].at(-1);
    const field = document.getElementById('composer-text');
    const box = row?.getBoundingClientRect();
    const isShown = scroller && box && Number(row.dataset.seq) >= last && box.bottom <= scroller.bottom + 1 && box.bottom > scroller.top;
    if (!isShown || document.activeElement !== field || field.disabled) return requestAnimationFrame(look);
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => done(performance.now());
    port2.postMessage(0);
  };
  requestAnimationFrame(look);
});

/** Clicks the chat in the list; time and frames until its last message is painted. */
export const switchTo = ([chat, last]) => new Promise((done) => {
  const link = document.querySelector(`#sidebar a[href="/chat/${chat}"]`);
  const begin = performance.now();
  let frames = 0;
  link.click();
  const look = () => {
    frames += 1;
    const row = [...document.querySelectorAll('.messages article[data-seq]')].at(-1);
    const scroller = document.querySelector('.timeline-scroll').getBoundingClientRect();
    const isShown = Number(row?.dataset.chat) === chat && Number(row.dataset.seq) >= last && row.getBoundingClientRect().top < scroller.bottom;
    if (!isShown) return requestAnimationFrame(look);
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => done({ ms: performance.now() - begin, frames });
    port2.postMessage(0);
  };
  requestAnimationFrame(look);
});

/** Waits for Enter, then for the row of the text: frames and ms until it is painted, ms until the server has it. */
export const ownMessage = (text) => new Promise((done) => {
  document.addEventListener('keydown', () => {
    const begin = performance.now();
    let [frames, ms] = [0, 0];
    const rowOf = () => [...document.querySelectorAll('.messages article')].findLast((row) => row.querySelector('.text')?.textContent === text);
    const kept = () => {
      const row = rowOf();
      if (!row || row.classList.contains('is-sending')) return requestAnimationFrame(kept);
      done({ frames, ms, kept: performance.now() - begin });
    };
    const look = () => {
      frames += 1;
      // The program draws in the same frame, after this function.
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => {
        if (!rowOf()) return requestAnimationFrame(look);
        ms = performance.now() - begin;
        kept();
      };
      port2.postMessage(0);
    };
    requestAnimationFrame(look);
  }, { capture: true, once: true });
});

/** Remembers when the last key or click arrived. */
export const noteInput = () => {
  for (const name of ['keydown', 'click']) document.addEventListener(name, (event) => { window.inputAt = event.timeStamp; }, { capture: true });
};

/** Waits until the message at a seq is on the screen; ms since the last key or click. */
export const untilSeq = (seq) => new Promise((done, failed) => {
  const begin = performance.now();
  const look = () => {
    if (performance.now() - begin > 20_000) return failed(new Error(`seq ${seq} is not on the screen`));
    const scroller = document.querySelector('.timeline-scroll').getBoundingClientRect();
    const row = document.querySelector(`.messages article[data-seq="${seq}"]`)?.getBoundingClientRect();
    if (!row || row.bottom < scroller.top || row.top > scroller.bottom) return requestAnimationFrame(look);
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => done(performance.now() - window.inputAt);
    port2.postMessage(0);
  };
  look();
});

/** Follows a link to a message, and waits until it is on the screen. */
export const followLink = (href) => {
  const link = document.createElement('a');
  link.href = href;
  document.getElementById('main').append(link);
  window.inputAt = performance.now();
  link.click();
  link.remove();
};

/** Fails unless the messages on the page follow each other without a gap; returns the last seq on the screen. */
export const rowsInOrder = () => {
  const scroller = document.querySelector('.timeline-scroll').getBoundingClientRect();
  const rows = [...document.querySelectorAll('.messages article[data-seq]')];
  const seqs = rows.map((row) => Number(row.dataset.seq));
  seqs.forEach((seq, at) => { if (at > 0 && seq !== seqs[at - 1] + 1) throw new Error(`seq ${seq} follows ${seqs[at - 1]}`); });
  const shown = rows.findLast((row) => row.getBoundingClientRect().top < scroller.bottom);
  return { last: Number(shown?.dataset.seq ?? 0), rows: rows.length, elements: document.querySelectorAll('*').length };
};

/** Records the frames of the page from `start` to `stop`. */
export const longestFrame = (what) => {
  if (what === 'start') {
    const frames = [];
    window.recordedFrames = frames;
    let before = performance.now();
    const look = (now) => {
      frames.push(now - before);
      before = now;
      if (window.recordedFrames === frames) requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
    return undefined;
  }
  const frames = window.recordedFrames.slice(1).sort((a, b) => a - b);
  window.recordedFrames = undefined;
  return { count: frames.length, median: Math.round(frames[Math.floor(frames.length / 2)]), longest: Math.round(frames.at(-1)) };
};

/**
 * Turns the wheel until a message is on the screen that is so many rows below the first.
 * @param {any} page
 * @param {number} rows
 */
export async function wheelDown(page, rows) {
  const seen = { rows: 0, elements: 0, most: 0 };
  const first = (await page.evaluate(rowsInOrder)).last;
  for (let n = 0; seen.rows < rows; n += 1) {
    if (n > rows * 4) throw new Error(`the wheel does not lead on after ${seen.rows} rows`);
    await page.mouse.wheel(0, 700);
    await page.evaluate(() => new Promise((done) => { requestAnimationFrame(() => done(undefined)); }));
    if (n % 5) continue;
    const { last, rows: most, elements } = await page.evaluate(rowsInOrder);
    seen.rows = last - first;
    seen.most = Math.max(seen.most, most);
    seen.elements = Math.max(seen.elements, elements);
  }
  return seen;
}
