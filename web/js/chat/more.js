// The second part of the chat program: everything that is not needed to show a chat, to read it, and
// to write plain text. `later.js` loads it at its first use. `MORE` is its only export.
import { addIcons } from '../kit/icons.js';
import { MORE_ICONS } from '../kit/icons_more.js';
import { addActions } from './actions_more.js';
import { createAttached } from './attached.js';
import { fillCodeSpace } from './code_card.js';
import { createComplete } from './complete.js';
import { closedReason, composerBanners } from './composer_banner.js';
import { editLast, offerSplit, saveEdit, submitSlash } from './composer_more.js';
import { composerOptions } from './composer_options.js';
import { askDay } from './day_jump.js';
import { createDesktop } from './desktop.js';
import { createHeadMenu, offerJoin } from './head_menu.js';
import { HIDDEN_NAMES } from './hidden_names.js';
import { createInbox } from './inbox.js';
import { showKeys } from './key_list.js';
import { newChat } from './new_chat.js';
import { parseCodeRef } from './code_ref.js';
import { createPanel } from './panel.js';
import { rescueDrafts, rescueUnsent } from './old_texts.js';
import { clickRow, messageClicks } from './row_actions.js';
import { keepRemovals, resendRemovals } from './row_removal.js';
import { rowKeys } from './row_keys.js';
import { scrollToUnread } from './scroll_unread.js';
import { createShortcuts } from './shortcuts.js';
import { createSwitcher } from './switcher.js';

addIcons(MORE_ICONS);

/**
 * Creates the views that open on demand.
 * @param {import('./types.js').Context} ctx
 * @param {{ main: HTMLElement, panelRoot: HTMLElement, inboxRoot: HTMLElement }} parts
 * @param {{ timeline: ReturnType<typeof import('./timeline.js').createTimeline>, sidebar: ReturnType<typeof import('./sidebar.js').createSidebar> }} views
 * @param {number} handled the newest notification that needs no notice of the desktop
 */
function createMoreViews(ctx, { main, panelRoot, inboxRoot }, { timeline, sidebar }, handled) {
  const desktop = createDesktop(ctx, handled);
  const panel = createPanel(panelRoot, ctx);
  const inbox = createInbox(inboxRoot, ctx, desktop);
  const switcher = createSwitcher(main, ctx, { keys: () => showKeys(ctx), allowNotices: () => void desktop.allow() });
  const { run } = createShortcuts(ctx, { timeline, sidebar, panel, switcher, inbox });
  return { views: [panel, inbox, switcher, desktop], inbox, run };
}

export const MORE = {
  HIDDEN_NAMES, addActions, askDay, clickRow, closedReason, composerBanners, composerOptions, createAttached, createComplete, createHeadMenu, createMoreViews, editLast, fillCodeSpace,
  keepRemovals, messageClicks, newChat, offerJoin, offerSplit, parseCodeRef, rescueDrafts, rescueUnsent, resendRemovals, rowKeys, saveEdit, scrollToUnread, submitSlash,
};
