// A large chat: opens, switches, sends, jumps, scrolls. The report of all figures is
// `node measure_chat.mjs`; this is its short form.
import { MEASURED, QUICK, measureChat } from '../measure_chat.mjs';

export const environment = MEASURED;

export default (/** @type {{ server: any, browser: any }} */ { server, browser }) => measureChat({ server, browser, size: QUICK });
