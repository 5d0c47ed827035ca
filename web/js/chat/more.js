// The parts of the chat program that are not needed for its first frame: `main.js` loads them after
// it. The page stays small, and the messages are shown earlier.
import { createDesktop } from './desktop.js';
import { createInbox } from './inbox.js';
import { createPanel } from './panel.js';
import { createShortcuts, showKeys } from './shortcuts.js';
import { createSwitcher } from './switcher.js';

/**
 * Creates the views that open on demand.
 * @param {import('./head.js').AroundContext} ctx
 * @param {{ main: HTMLElement, panelRoot: HTMLElement, inboxRoot: HTMLElement }} parts
 * @param {{ timeline: ReturnType<typeof import('./timeline.js').createTimeline>, sidebar: ReturnType<typeof import('./sidebar.js').createSidebar> }} views
 */
export function createMoreViews(ctx, { main, panelRoot, inboxRoot }, { timeline, sidebar }) {
  const desktop = createDesktop(ctx);
  const panel = createPanel(panelRoot, ctx);
  const inbox = createInbox(inboxRoot, ctx, desktop);
  const switcher = createSwitcher(main, ctx, { keys: () => showKeys(ctx.root), allowNotices: () => void desktop.allow() });
  return [panel, inbox, switcher, desktop, createShortcuts(ctx, { timeline, sidebar, panel, switcher, inbox })];
}
