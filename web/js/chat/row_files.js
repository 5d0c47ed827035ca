// The files of a message: pictures, video and sound in place, links to all others. The space of a
// picture is reserved, so that nothing moves when it arrives.
import { el } from '../kit/dom.js';
import { sizeText } from '../kit/size.js';

/** @typedef {import('./types.js').MessageFile} MessageFile */

/** A larger image without a thumbnail is a link: it would be loaded without a wish of the reader. */
const SHOWN_IMAGE_BYTES_MAX = 10 * 1024 * 1024;
/** A larger image is shown by its thumbnail. */
const WHOLE_IMAGE_BYTES_MAX = 256 * 1024;
/** The largest and the smallest sides of an image (CSS pixels), and the space beside it. */
const IMAGE_WIDTH_MAX = 400;
const IMAGE_HEIGHT_MAX = 300;
const IMAGE_SIDE_MIN = 24;
const IMAGE_BESIDE = 96;

/**
 * Returns the list of files. `data-files` is equal for equal files.
 * @param {MessageFile[]} files
 */
export function filesOf(files) {
  return el('ul', { class: 'files', dataset: { files: JSON.stringify(files) } }, files.map((file) => {
    const [kind] = file.type?.split('/') ?? [];
    if (kind === 'image' && (hasThumbnail(file) || file.size <= SHOWN_IMAGE_BYTES_MAX)) return imageItem(file);
    if (kind !== 'video' && kind !== 'audio') return linkItem(file);
    return el('li', { class: 'file-played' }, el(kind, { class: `file-${kind}`, controls: true, preload: 'none', src: fileAddress(file), 'aria-label': file.name }), fileLink(file));
  }));
}

/** Returns the address of a file. @param {MessageFile} file */
const fileAddress = (file) => `/api/files/${file.id}`;

/** A GIF may be an animation. @param {MessageFile} file */
const hasThumbnail = (file) => file.size > WHOLE_IMAGE_BYTES_MAX && file.type !== 'image/gif';

/** Returns the address of the picture that a row shows. @param {MessageFile} file */
const pictureAddress = (file) => fileAddress(file) + (hasThumbnail(file) ? '/thumbnail?size=1080' : '');

/** @param {MessageFile} file */
const linkItem = (file) => el('li', null, fileLink(file));

/** @param {MessageFile} file */
const fileLink = (file) => el('span', { class: 'file-link' }, el('a', { href: fileAddress(file), target: '_blank', rel: 'noopener' }, el('bdi', null, file.name)), ` ${sizeText(file.size)}`);

/** @param {MessageFile} file */
function imageItem(file) {
  const { w = IMAGE_WIDTH_MAX, h = IMAGE_HEIGHT_MAX } = file;
  const scale = Math.min(1, Math.min(IMAGE_WIDTH_MAX, Math.max(IMAGE_SIDE_MIN, innerWidth - IMAGE_BESIDE)) / w, IMAGE_HEIGHT_MAX / h);
  const [width, height] = [w, h].map((pixels) => Math.max(IMAGE_SIDE_MIN, Math.round(pixels * scale)));
  // `loading` must be known before the address.
  const image = el('img', { loading: 'lazy', decoding: 'async', width, height, alt: file.name, src: pictureAddress(file) });
  // Not the ratio of the picture itself: its height would not be whole pixels.
  image.style.setProperty('aspect-ratio', `${width} / ${height}`);
  const item = el('li', null, el('a', { class: 'file-image', href: fileAddress(file), target: '_blank', rel: 'noopener', title: `${file.name}, ${sizeText(file.size)}` }, image));
  image.addEventListener('error', () => {
    // The server makes few thumbnails at once, and none of some pictures.
    if (image.src.includes('?') && file.size <= SHOWN_IMAGE_BYTES_MAX) image.src = fileAddress(file);
    else item.replaceWith(linkItem(file));
  });
  return item;
}
