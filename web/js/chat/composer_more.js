// The rare ways to submit the text of the composer: commands, edits, texts that are too long.

import { slashText } from './commands.js';
import { MESSAGE_BYTES_MAX, byteLength, kilobytes, sentText } from './compose_text.js';
import { problemText } from './problem.js';
import { SPLIT_MAX, splitMessages } from './split_text.js';

/** @typedef {import('./composer.js').ComposerSelf} ComposerSelf */

/**
 * Saves the message that is edited.
 * @param {ComposerSelf} composer
 */
export async function saveEdit(composer) {
  const { ctx, field, state, say, setField, keep, space, flush, endEdit, drawState } = composer;
  const at = space();
  const [chat, id, content] = [state.chat, state.editing, sentText(field.value)];
  if (content === '' && !ctx.store.message(id)?.files?.length) return say('A message cannot be empty. Delete it instead: the menu of the message.');
  const bytes = byteLength(content);
  if (bytes > MESSAGE_BYTES_MAX) return say(`The text has ${kilobytes(bytes)} KB, a message at most 16 KB.`);
  const before = ctx.store.message(id)?.content;
  endEdit();
  if (before === content) return;
  try {
    await ctx.actions.edit(chat, id, content);
    ctx.announce('The message was changed.');
  } catch (error) {
    if (chat !== state.chat || state.editing || at !== space()) {
      keep(chat, { edit: { id, text: content } }, at);
    } else {
      flush();
      state.editing = id;
      keep(chat, { edit: { id, text: content } });
      setField(content);
      drawState();
    }
    say(`The message was not changed: ${problemText(error)}`);
  }
}

/**
 * @param {ComposerSelf} composer
 * @param {import('./commands.js').Command} command
 * @param {string} rest
 */
async function runCommand({ ctx, field, state, say, setField, setDraft, draftOf, flush }, command, rest) {
  const chat = ctx.store.chat(state.chat);
  const written = field.value;
  if (!chat) return;
  try {
    const sentence = await command.run(ctx, chat, rest);
    if (field.value === written) setField('');
    if (draftOf(chat.id) === written) setDraft(chat.id, '');
    flush();
    say('');
    ctx.announce(sentence);
  } catch (error) {
    say(`/${command.name}: ${problemText(error)}`);
  }
}

/**
 * Submits a text that begins with `/`: a command, or a text.
 * @param {ComposerSelf} composer
 */
export function submitSlash(composer) {
  const { ctx, field, state, say, deliverText } = composer;
  const chat = ctx.store.chat(state.chat);
  if (!chat) return;
  const { command, rest, problem: refusal } = slashText(field.value.replaceAll('\0', ''), chat);
  if (refusal) return say(refusal);
  if (!command) return deliverText(rest);
  if (!command.confirms) return void runCommand(composer, command, rest);
  say(`${command.about}?`, { confirm: { label: command.confirms(chat), run: () => void runCommand(composer, command, rest) } });
}

/**
 * Offers to send a text that is too long as several messages.
 * @param {ComposerSelf} composer
 * @param {string} content
 */
export function offerSplit({ say, deliver }, content) {
  const messages = splitMessages(content);
  const sentence = `The text has ${kilobytes(byteLength(content))} KB, a message at most 16 KB.`;
  if (messages.length > SPLIT_MAX) say(`${sentence} Shorten it: up to ${SPLIT_MAX} messages can be sent at once.`);
  else say(sentence, { split: { label: `Send as ${messages.length} messages`, primary: true, run: () => void deliver(messages) } });
}

/**
 * Edits the newest own message that is loaded.
 * @param {ComposerSelf} composer
 */
export function editLast({ ctx, state, isMain, threadId, startEdit }) {
  const { store } = ctx;
  const { ranges, last } = store.timeline(state.chat);
  const range = ranges.at(-1);
  if (!range || range.to < last) return;
  const own = store.events(state.chat, range.from, range.to).findLast(({ message }) => message && message.sender_id === store.me.id && !message.deleted && message.metadata?.push_seq === undefined
    && (isMain || message.thread_id === threadId));
  if (own?.message) startEdit(own.message);
}
