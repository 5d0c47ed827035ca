// The types that the modules of the chat program share. Nothing here runs.

/**
 * @typedef {object} Me
 * @property {number} id
 * @property {string} username
 * @property {string} [display_name]
 * @property {string} [avatar]
 */

/**
 * A user. `missing`: not known yet (the store requests it) or not visible to this user.
 * @typedef {object} User
 * @property {number} id
 * @property {string} username
 * @property {string} display_name may be empty: show the user name then
 * @property {boolean} active
 * @property {string} [avatar] the version of the picture; without it, initials are shown
 * @property {boolean} [missing]
 */

/**
 * A chat as in `Welcome`, with the counts of this moment.
 * @typedef {object} Chat
 * @property {number} id
 * @property {'direct' | 'group' | 'channel'} kind
 * @property {string} [name] groups and channels
 * @property {string} [peer] direct chats: the name of the other user
 * @property {boolean} [active] only `false`: the other user is deactivated
 * @property {number} [project_id]
 * @property {boolean} [archived]
 * @property {boolean} [hidden]
 * @property {'all' | 'mentions' | 'none'} [notify] absent: `all`
 * @property {number} last_seq the newest event that this program has
 * @property {number} read_seq
 * @property {number} unread_count
 * @property {Role} [role] of this user, once it is known
 * @property {string} [avatar] the version of the picture; without it, a sign is shown
 */

/** @typedef {'owner' | 'admin' | 'member' | 'reader'} Role */

/** @typedef {{ emoji: string, user_ids: number[] }} Reaction */

/**
 * @typedef {object} Message
 * @property {number} id
 * @property {number} chat_id
 * @property {number} seq
 * @property {number} sender_id
 * @property {string} [client_id] a UUID
 * @property {string} content
 * @property {number} [reply_to]
 * @property {Record<string, any>} [metadata]
 * @property {string} created_at RFC 3339
 * @property {number} [thread_id]
 * @property {string} [edited_at]
 * @property {MessageFile[]} [files]
 * @property {boolean} [deleted]
 * @property {boolean} [pinned]
 * @property {Reaction[]} [reactions]
 * @property {number} [updated_seq] absent: `seq`
 */

/**
 * @typedef {{ id: number, name: string, size: number, type?: string, w?: number, h?: number }} MessageFile
 *   `w` and `h`: pixels of an image. A message that the server does not have may lack the type
 */

/** @typedef {{ ref: string, old?: string | null, new?: string | null }} PushRef */

/** @typedef {{ oid: string, summary: string, author: string }} PushCommit */

/**
 * @typedef {object} Push
 * @property {number} repository_id
 * @property {string} repository
 * @property {PushRef[]} refs
 * @property {number} ref_count
 * @property {PushCommit[]} commits
 * @property {number} commit_count
 */

/**
 * An event. Fields that do not apply to its kind are absent.
 * @typedef {object} Event
 * @property {number} chat_id
 * @property {number} seq
 * @property {string} kind `message`, `join`, `leave`, `role`, `rename`, `archive`, `edit`,
 *   `delete`, `react`, `unreact`, `pin`, `unpin`, `trim`, `push`, or an unknown one
 * @property {number} actor_id
 * @property {string} created_at
 * @property {Message} [message]
 * @property {number} [user_id]
 * @property {Role} [role]
 * @property {string} [name]
 * @property {boolean} [archived]
 * @property {Push} [push]
 * @property {number} [message_id]
 * @property {string} [emoji]
 * @property {number} [to_seq]
 * @property {Chat} [chat]
 */

/**
 * A message that the server has not acknowledged, or has refused.
 * @typedef {object} Pending
 * @property {string} client_id
 * @property {number} chat_id
 * @property {string} content
 * @property {number} [reply_to]
 * @property {Record<string, any>} [metadata]
 * @property {MessageFile[]} [files]
 * @property {'sending' | 'failed'} state
 * @property {Problem} [error]
 * @property {number} [retry_at] milliseconds: it is sent again then
 * @property {number} created_at milliseconds
 */

/** @typedef {{ code: string, detail: string }} Problem */

/** @typedef {{ user_id: number, read_seq: number, delivered_seq: number }} Mark */

/**
 * @typedef {object} Notification
 * @property {number} id
 * @property {string} kind
 * @property {number} [chat_id]
 * @property {number} [message_id]
 * @property {number} [seq]
 * @property {number} [actor_id]
 * @property {string} text
 * @property {string} created_at
 * @property {string} [read_at]
 */

/** @typedef {'online' | 'away' | 'dnd' | 'offline'} Presence */

/**
 * @typedef {object} Connection
 * @property {'connecting' | 'online' | 'waiting' | 'logged_out' | 'replaced'} state `replaced`:
 *   another user logged in in this browser; reload
 * @property {number} [retry_at] milliseconds of `clock`: the next attempt of `waiting`
 * @property {string} [notice] a sentence to show, such as "The disk is full"
 */

/** @typedef {{ from: number, to: number }} Range both inclusive */

/**
 * The state of the loaded events of a chat. The events of the ranges are loaded, except for
 * those that the server removed. A gap is the space between two ranges.
 * @typedef {object} TimelineFacts
 * @property {Range[]} ranges ascending, disjoint, not adjacent
 * @property {number} last the newest seq of the chat
 * @property {number} first_known the first seq of the chat: 1
 */

/** @typedef {{ user_id: number, username: string, role: Role, read_seq: number, delivered_seq: number }} Participant */

/** @typedef {{ count: number, mentions: number }} Unread */

/**
 * Facts for views. Views only read and subscribe.
 * @typedef {object} StoreReads
 * @property {Me} me
 * @property {() => Chat[]} chats not hidden ones, by id
 * @property {(id: number) => Chat | undefined} chat
 * @property {(id: number) => TimelineFacts} timeline
 * @property {(id: number, from: number, to: number) => Event[]} events loaded ones, ascending; both
 *   ends inclusive
 * @property {(id: number, from: number, to: number) => void} show what the timeline shows stays loaded
 * @property {(id: number) => Message | undefined} message
 * @property {(chatId: number) => Pending[]} pending in the order in which they were written
 * @property {(id: number) => User} user
 * @property {(id: number) => boolean} isShared another user has the display name, too
 * @property {() => User[]} users those that are known
 * @property {(chatId: number) => number | undefined} peer the other user of a direct chat, once known
 * @property {(userId: number) => Presence} presence
 * @property {(chatId: number) => number[]} typing
 * @property {(chatId: number) => Map<number, { read_seq: number, delivered_seq: number }>} marks
 * @property {(chatId: number) => Unread} unread
 * @property {() => number} unreadTotal hidden chats do not count, nor do chats with `notify` none
 * @property {() => Notification[]} notifications newest first
 * @property {() => number} notificationsUnread
 * @property {() => boolean} notificationsHaveMore
 * @property {() => string | undefined} notificationsProblem why the list did not load; '': it is
 *   loaded; undefined: not yet
 * @property {() => Connection} connection
 * @property {(fn: (changes: Set<string>) => void) => () => void} subscribe at most once a microtask;
 *   keys: `chats`, `chat:ID`, `timeline:ID`, `pending:ID`, `users`, `presence`, `typing:ID`,
 *   `marks:ID`, `notifications`, `connection`
 */

/**
 * @typedef {object} SendOptions
 * @property {number} [reply_to]
 * @property {Record<string, any>} [metadata]
 * @property {MessageFile[]} [files]
 */

/**
 * The only way in which views change anything. All promises reject with `{code, detail}`.
 * @typedef {object} Actions
 * @property {(chatId: number, content: string, options?: SendOptions) => Promise<string>} send resolves
 *   with the client_id as soon as the message is stored in this browser
 * @property {(clientId: string) => Promise<void>} retry
 * @property {(clientId: string) => Promise<void>} discard
 * @property {(chatId: number, messageId: number, content: string) => Promise<void>} edit
 * @property {(chatId: number, messageId: number) => Promise<void>} remove
 * @property {(chatId: number, messageId: number, emoji: string, on: boolean) => Promise<void>} react
 * @property {(chatId: number, messageId: number, on: boolean) => Promise<void>} pin
 * @property {(chatId: number, messageId: number, on: boolean) => Promise<void>} follow
 * @property {(chatId: number, seq: number) => Promise<void>} read
 * @property {(chatId: number, seq: number) => Promise<void>} unreadFrom
 * @property {() => Promise<void>} readAll
 * @property {(chatId: number) => Promise<void>} typing at most one packet every 2.5 s is sent
 * @property {(status: 'online' | 'away' | 'dnd' | 'invisible') => Promise<void>} status
 * @property {(chatId: number, range: PageRange) => Promise<void>} page reads events into the store
 * @property {(chatId: number, messageId: number) => Promise<Message[]>} thread
 * @property {(chatId: number) => Promise<Message[]>} pins
 * @property {(chatId: number, cursor?: string) => Promise<{ items: Participant[], next: string | null }>} participants
 * @property {(chatId: number) => Promise<void>} join
 * @property {(chatId: number) => Promise<void>} leave
 * @property {(chatId: number, name: string) => Promise<void>} rename
 * @property {(chatId: number, on: boolean) => Promise<void>} archive
 * @property {(chatId: number, picture: Blob | null) => Promise<void>} setAvatar null removes it
 * @property {(chatId: number, username: string, role?: Role) => Promise<void>} invite also changes a role
 * @property {(chatId: number, username: string) => Promise<void>} removeMember
 * @property {(chatId: number, on: boolean) => Promise<void>} hide
 * @property {(chatId: number, level: 'all' | 'mentions' | 'none') => Promise<void>} notify
 * @property {(chat: { kind: 'direct' | 'group' | 'channel', name?: string, participants: string[] }) => Promise<Chat>} create
 * @property {(cursor?: string) => Promise<{ items: Chat[], next: string | null }>} joinable
 * @property {(prefix: string) => Promise<User[]>} findUsers
 * @property {(id: number) => Promise<void>} readNotification
 * @property {() => Promise<void>} readNotifications
 * @property {() => Promise<void>} moreNotifications
 * @property {() => Promise<void>} loadNotifications never rejects: see `notificationsProblem`
 * @property {() => void} reconnect tries at once
 */

/** @typedef {{ before?: number, after?: number, around?: number, limit?: number }} PageRange */

/**
 * The text and notes that the composer keeps in this browser for a chat or thread. `title` is the name of the chat,
 * `at` the time of the last change.
 * @typedef {object} Kept
 * @property {string} [draft]
 * @property {import('./composer_banner.js').ReplyNote | null} [reply]
 * @property {import('./composer_banner.js').CodeNote | null} [code]
 * @property {{ id: number, text: string } | null} [edit]
 * @property {string} [title]
 * @property {number} [at] milliseconds
 */

/**
 * Unfinished texts of the composer, kept in this browser. A name is `CHAT` or `CHAT:THREAD`.
 * @typedef {object} Drafts
 * @property {() => string} space the history of the server and the user
 * @property {(space: string, name: number | string) => Kept} get
 * @property {(space: string, name: number | string, change: Kept) => void} set nothing is kept
 *   without a text or note
 * @property {() => string[]} old keys of this user in histories that were replaced
 * @property {(fn: (chatId: number) => void) => () => void} onChange changes by other tabs
 */

/**
 * The parts of the program that every view gets; it has no other reference to the program.
 * @typedef {object} Context
 * @property {StoreReads} store
 * @property {Actions} actions
 * @property {import('./router.js').Router} router
 * @property {import('../kit/local.js').Local} local settings of the program in this browser
 * @property {Drafts} drafts
 * @property {(sentence: string) => void} announce
 * @property {() => number} now milliseconds
 * @property {Document} root
 */

/**
 * The state block of the page.
 * @typedef {object} PageState
 * @property {Me} me
 * @property {number} epoch
 * @property {string} version
 * @property {Chat[]} chats
 * @property {boolean} has_more
 * @property {{ id: number, username: string, display_name: string, active?: boolean, avatar?: string }[]} users
 * @property {{ chat_id: number, events: Event[], has_more: boolean } | null} open
 */

export {};
