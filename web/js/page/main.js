// What pages have on top of HTML. Every page works without it.
import { localTimes } from './times.js';
import { passwordButtons, focusProblems, setupCode } from './forms.js';
import { copyButtons } from './copy.js';
import { menus } from './menus.js';
import { changes } from './diff.js';

localTimes(document);
passwordButtons(document);
focusProblems(document);
setupCode(document, location);
copyButtons(document);
menus(document);
changes(document);
