// The shortcodes of emoji that the program completes, and that reactions offer. Any other emoji can
// be typed.

import { EMOJI_CHARS } from './emoji_names.js';

/** Names and characters, separated by spaces. The first name of a character is its usual one. */
const EMOJI_ROWS = [
  '+1 👍 thumbsup 👍 -1 👎 thumbsdown 👎 heart ❤️ tada 🎉 eyes 👀 smile 😄 joy 😂 thinking 🤔 rocket 🚀 white_check_mark ✅',
  'check ✔️ x ❌ fire 🔥 pray 🙏 clap 👏 wave 👋 ok_hand 👌 100 💯 raised_hands 🙌 muscle 💪 point_up ☝️ point_down 👇',
  'point_left 👈 point_right 👉 handshake 🤝 crossed_fingers 🤞 v ✌️ facepalm 🤦 shrug 🤷 writing_hand ✍️ salute 🫡',
  'grinning 😀 smiley 😃 grin 😁 laughing 😆 sweat_smile 😅 rofl 🤣 slightly_smiling 🙂 upside_down 🙃 wink 😉 blush 😊',
  'innocent 😇 heart_eyes 😍 star_struck 🤩 kissing_heart 😘 yum 😋 tongue 😛 zany 🤪 hugs 🤗 shushing 🤫 zipper_mouth 🤐',
  'raised_eyebrow 🤨 neutral 😐 expressionless 😑 smirk 😏 unamused 😒 rolling_eyes 🙄 grimacing 😬 relieved 😌 pensive 😔',
  'sleepy 😪 sleeping 😴 mask 😷 dizzy_face 😵 exploding_head 🤯 cowboy 🤠 partying 🥳 sunglasses 😎 nerd 🤓 monocle 🧐',
  'confused 😕 worried 😟 frowning ☹️ open_mouth 😮 astonished 😲 flushed 😳 pleading 🥺 fearful 😨 cold_sweat 😰 cry 😢 sob 😭',
  'scream 😱 sweat 😓 tired 😫 yawning 🥱 angry 😠 rage 😡 skull 💀 poop 💩 clown 🤡 ghost 👻 alien 👽 robot 🤖 see_no_evil 🙈',
  'broken_heart 💔 sparkling_heart 💖 blue_heart 💙 green_heart 💚 yellow_heart 💛 purple_heart 💜 black_heart 🖤 boom 💥',
  'sparkles ✨ star ⭐ zap ⚡ snowflake ❄️ sunny ☀️ cloud ☁️ rainbow 🌈 umbrella ☔ droplet 💧 ocean 🌊 earth 🌍 moon 🌙',
  'seedling 🌱 evergreen 🌲 cactus 🌵 clover 🍀 rose 🌹 sunflower 🌻 cat 🐱 dog 🐶 fox 🦊 bear 🐻 panda 🐼 monkey 🐒 penguin 🐧',
  'owl 🦉 unicorn 🦄 bee 🐝 bug 🐛 turtle 🐢 snake 🐍 octopus 🐙 crab 🦀 whale 🐳 dolphin 🐬 snail 🐌 butterfly 🦋',
  'coffee ☕ tea 🍵 beer 🍺 beers 🍻 wine 🍷 champagne 🍾 pizza 🍕 burger 🍔 fries 🍟 sushi 🍣 cookie 🍪 cake 🍰 birthday 🎂',
  'apple 🍎 banana 🍌 lemon 🍋 avocado 🥑 popcorn 🍿 icecream 🍦 doughnut 🍩 gift 🎁 balloon 🎈 trophy 🏆 medal 🏅 dart 🎯',
  'dice 🎲 guitar 🎸 headphones 🎧 art 🎨 clapper 🎬 camera 📷 soccer ⚽ basketball 🏀 bike 🚲 car 🚗 bus 🚌 train 🚆 airplane ✈️',
  'ship 🚢 construction 🚧 checkered_flag 🏁 triangular_flag 🚩 house 🏠 office 🏢 hospital 🏥 tent ⛺ bulb 💡 computer 💻',
  'keyboard ⌨️ desktop 🖥️ phone 📱 floppy 💾 cd 💿 battery 🔋 plug 🔌 wrench 🔧 hammer 🔨 tools 🛠️ gear ⚙️ link 🔗 lock 🔒',
  'unlock 🔓 key 🔑 shield 🛡️ mag 🔍 bell 🔔 no_bell 🔕 mega 📣 loudspeaker 📢 speech_balloon 💬 thought 💭 email 📧 package 📦',
  'inbox 📥 outbox 📤 memo 📝 pencil ✏️ book 📖 books 📚 bookmark 🔖 clipboard 📋 calendar 📅 chart 📊 chart_up 📈 chart_down 📉',
  'pushpin 📌 paperclip 📎 scissors ✂️ wastebasket 🗑️ folder 📁 newspaper 📰 moneybag 💰 gem 💎 crown 👑 hourglass ⏳ alarm ⏰',
  'stopwatch ⏱️ warning ⚠️ no_entry ⛔ stop 🛑 recycle ♻️ question ❓ exclamation ❗ bangbang ‼️ plus ➕ minus ➖ infinity ♾️',
  'arrow_up ⬆️ arrow_down ⬇️ arrow_left ⬅️ arrow_right ➡️ repeat 🔁 new 🆕 ok 🆗 sos 🆘 red_circle 🔴 yellow_circle 🟡',
  'green_circle 🟢 blue_circle 🔵 black_circle ⚫ white_circle ⚪ man_dancing 🕺 dancer 💃 ninja 🥷 detective 🕵️ technologist 🧑‍💻',
];

/** Emoji that a reaction offers first. */
export const QUICK_EMOJI = ['👍', '❤️', '🎉', '😄', '👀', '🚀', '✅', '👎'];

for (const row of EMOJI_ROWS) {
  const words = row.split(' ');
  for (let at = 0; at + 1 < words.length; at += 2) EMOJI_CHARS.set(words[at] ?? '', words[at + 1] ?? '');
}

/**
 * Returns emoji whose names begin with a text, then those whose names contain it.
 * @param {string} begin
 * @param {number} limit
 * @returns {{ name: string, char: string }[]}
 */
export function emojiLike(begin, limit) {
  const wanted = begin.toLowerCase();
  const first = [];
  const then = [];
  for (const [name, char] of EMOJI_CHARS) {
    if (name.startsWith(wanted)) first.push({ name, char });
    else if (name.includes(wanted)) then.push({ name, char });
  }
  const seen = new Set();
  return [...first, ...then].filter(({ char }) => !seen.has(char) && seen.add(char)).slice(0, limit);
}
