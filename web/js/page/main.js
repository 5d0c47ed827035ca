// What pages have on top of HTML. Every page works without it.
import { localTimes } from './times.js';
import { passwordButtons, focusProblems, setupCode } from './forms.js';
import { copyButtons } from './copy.js';
import { menus } from './menus.js';
import { changes } from './diff.js';
import { keys } from './keys.js';
import { lines } from './lines.js';
import { finder } from './find.js';
import { refPicker } from './refs.js';
import { health } from './health.js';

localTimes(document);
passwordButtons(document);
focusProblems(document);
setupCode(document, location);
copyButtons(document);
menus(document);
changes(document);
keys(document);
lines(document);
finder(document);
refPicker(document);
health(document);
