//! Parser of typed lines.
//!
//! A line that begins with `/` is a command; `//` sends a line that begins with `/`.

/// A command in the help: its form, its effect, and whether it needs the full screen.
pub(super) struct Help {
    pub(super) form: &'static str,
    pub(super) effect: &'static str,
    pub(super) full_only: bool,
}

const fn always(form: &'static str, effect: &'static str) -> Help {
    Help { form, effect, full_only: false }
}

const fn full(form: &'static str, effect: &'static str) -> Help {
    Help { form, effect, full_only: true }
}

/// Output of `/help`.
pub(super) const HELP: &[Help] = &[
    always("/chats", "list your chats"),
    always("/open N, /open NAME", "open a chat; your messages then go to it"),
    always("/new NAME USER USER…", "create a group (\"a name with spaces\" in quotes)"),
    always("/dm USER", "open the direct chat with a user"),
    always("/join NAME", "join a channel"),
    always("/leave", "leave the open chat"),
    full("/list", "list the channels that you can join"),
    always("/invite USER USER…", "add users to the open chat"),
    always("/who", "list the participants of the open chat and their presence"),
    always("/edit TEXT", "replace your last message"),
    always("/delete", "delete your last message"),
    always("/react EMOJI", "react to the last message; /unreact removes the reaction"),
    always("/attach PATH TEXT", "upload a file and send it, with or without a text"),
    always("/status STATUS", "set your status: online, away, dnd or invisible"),
    always("/more", "show older messages of the open chat"),
    always("/search WORDS", "find messages, code and commits; also from:USER in:#CHAT repo:NAME lang:rust"),
    always("/goto N", "go to a message that the last search found"),
    full("/find TEXT", "find text in the history of the chat; n and N go to older and newer matches"),
    full("/inbox", "show your notifications"),
    full("/thread", "show the thread of the selected or the last message"),
    full("/pins", "list the pinned messages of the open chat"),
    full("/retry, /discard", "send the failed messages of the open chat again, or remove them"),
    full("/failed", "list the texts that were not sent, of all chats, also of those you left"),
    full("/read", "mark all chats as read"),
    full("/notify LEVEL", "choose the notifications of the open chat: all, mentions or none"),
    full("/mouse", "switch the mouse on or off, such as to select text with it"),
    full("/reconnect", "connect now instead of waiting"),
    always("/me TEXT", "send what you do, in italics"),
    always("/quit", "quit (also Ctrl-D)"),
    always("//TEXT", "send a line that begins with /"),
];

/// Words of other chat programs, and what they mean here.
const ALIASES: &[(&str, &str)] = &[
    ("msg", "dm"),
    ("query", "dm"),
    ("part", "leave"),
    ("names", "who"),
    ("away", "status away"),
    ("back", "status online"),
    ("mute", "notify none"),
    ("unmute", "notify all"),
];

/// Returns the names of all commands, without the slash.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let forms = HELP.iter().flat_map(|help| help.form.split(", "));
    let names = forms.filter_map(|form| form.strip_prefix('/')?.split(' ').next());
    names.filter(|name| !name.starts_with('/')).chain(["unreact", "help"])
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    Nothing,
    Send(String),
    Chats,
    Open(String),
    New {
        name: String,
        people: Vec<String>,
    },
    Direct(String),
    Join(String),
    Leave,
    Invite(Vec<String>),
    Who,
    Edit(String),
    Delete,
    React {
        emoji: String,
        remove: bool,
    },
    /// A file of this machine, and the text of its message.
    Attach {
        path: String,
        text: String,
    },
    Status(String),
    More,
    /// Messages of all chats. Empty: the last search again.
    Search(String),
    /// Number of a message that the last search found.
    Goto(usize),
    Help,
    Quit,
    /// A command of the full screen.
    Full(FullCommand),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FullCommand {
    Find(String),
    Inbox,
    Thread,
    Retry,
    Discard,
    Failed,
    ReadAll,
    Notify(String),
    List,
    Pins,
    Mouse,
    Reconnect,
}

/// Returns whether the text will be sent as a message.
pub(super) fn is_message(text: &str) -> bool {
    !text.trim().is_empty() && (!text.starts_with('/') || text.starts_with("//"))
}

/// Returns the command, or a sentence about the mistake in the line.
pub(super) fn parse(line: &str) -> Result<Command, String> {
    if line.trim().is_empty() {
        return Ok(Command::Nothing);
    }
    let Some(command) = line.strip_prefix('/') else { return Ok(Command::Send(line.to_owned())) };
    if command.starts_with('/') {
        return Ok(Command::Send(command.to_owned()));
    }
    let (name, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
    let rest = rest.trim();
    if let Some((_, meant)) = ALIASES.iter().find(|(alias, _)| *alias == name) {
        return parse(&format!("/{meant} {rest}"));
    }
    let one = |usage: &str| match words(rest)?.as_slice() {
        [word] => Ok(word.clone()),
        // The last argument may hold unquoted spaces.
        [_, ..] if name != "dm" => Ok(rest.to_owned()),
        _ => Err(format!("usage: {usage}")),
    };
    let alone = |command: Command| {
        if rest.is_empty() { Ok(command) } else { Err(format!("/{name} takes no arguments")) }
    };
    match name {
        "chats" => alone(Command::Chats),
        "open" => one("/open N or /open NAME").map(Command::Open),
        "new" => match words(rest)?.split_first() {
            Some((name, people)) => Ok(Command::New {
                name: name.clone(),
                people: people.iter().map(|word| person(word)).collect(),
            }),
            None => Err("usage: /new NAME USER USER…".to_owned()),
        },
        "dm" => one("/dm USER").map(|user| Command::Direct(person(&user))),
        "join" => one("/join NAME").map(Command::Join),
        "leave" => alone(Command::Leave),
        "invite" => match words(rest)?.as_slice() {
            [] => Err("usage: /invite USER USER…".to_owned()),
            people => Ok(Command::Invite(people.iter().map(|word| person(word)).collect())),
        },
        "who" => alone(Command::Who),
        "edit" if rest.is_empty() => Err("usage: /edit TEXT".to_owned()),
        "edit" => Ok(Command::Edit(rest.to_owned())),
        "delete" => alone(Command::Delete),
        "react" => one("/react EMOJI").map(|emoji| Command::React { emoji, remove: false }),
        "unreact" => one("/unreact EMOJI").map(|emoji| Command::React { emoji, remove: true }),
        "attach" => super::attach::arguments(rest).map(|(path, text)| Command::Attach { path, text }),
        "status" => one("/status online, away, dnd or invisible").map(Command::Status),
        "more" => alone(Command::More),
        "me" if rest.is_empty() => Err("usage: /me TEXT".to_owned()),
        "me" => Ok(Command::Send(format!("*{rest}*"))),
        "list" => alone(Command::Full(FullCommand::List)),
        "pins" => alone(Command::Full(FullCommand::Pins)),
        "mouse" => alone(Command::Full(FullCommand::Mouse)),
        "help" => alone(Command::Help),
        "quit" => alone(Command::Quit),
        "search" => Ok(Command::Search(rest.to_owned())),
        "goto" => rest.parse().map(Command::Goto).map_err(|_| "usage: /goto N".to_owned()),
        "find" if rest.is_empty() => Err("usage: /find TEXT".to_owned()),
        "find" => Ok(Command::Full(FullCommand::Find(rest.to_owned()))),
        "inbox" => alone(Command::Full(FullCommand::Inbox)),
        "thread" => alone(Command::Full(FullCommand::Thread)),
        "retry" => alone(Command::Full(FullCommand::Retry)),
        "discard" => alone(Command::Full(FullCommand::Discard)),
        "failed" => alone(Command::Full(FullCommand::Failed)),
        "read" => alone(Command::Full(FullCommand::ReadAll)),
        "notify" => one("/notify all, mentions or none").map(|l| Command::Full(FullCommand::Notify(l))),
        "reconnect" => alone(Command::Full(FullCommand::Reconnect)),
        _ => Err(format!(
            "unknown command /{name}: /help lists the commands, // sends a line that begins with /"
        )),
    }
}

/// Returns a user name, with or without a leading `@`.
fn person(text: &str) -> String {
    text.trim_start_matches('@').to_owned()
}

/// Splits text at spaces; quotes enclose a word with spaces.
fn words(text: &str) -> Result<Vec<String>, String> {
    let (mut words, mut rest) = (Vec::new(), text.trim_start());
    while !rest.is_empty() {
        let (word, behind) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').ok_or("a closing quote is missing")?,
            None => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
        };
        words.push(word.to_owned());
        rest = behind.trim_start();
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_keeps_a_line_of_text_unchanged() {
        assert_eq!(parse("hello  world "), Ok(Command::Send("hello  world ".into())));
        assert_eq!(parse("//etc/hosts"), Ok(Command::Send("/etc/hosts".into())));
        assert_eq!(parse(" /quit"), Ok(Command::Send(" /quit".into())));
        assert_eq!(parse("  "), Ok(Command::Nothing));
    }

    #[test]
    fn parse_accepts_names_with_and_without_quotes() {
        assert_eq!(parse("/open 3"), Ok(Command::Open("3".into())));
        assert_eq!(parse("/open the long name"), Ok(Command::Open("the long name".into())));
        assert_eq!(parse("/open \"the long name\""), Ok(Command::Open("the long name".into())));
        assert_eq!(parse("/join  News "), Ok(Command::Join("News".into())));
        assert_eq!(parse("/dm @bob"), Ok(Command::Direct("bob".into())));
        let group = Command::New { name: "my team".into(), people: vec!["bob".into(), "carol".into()] };
        assert_eq!(parse("/new \"my team\" bob @carol"), Ok(group));
        assert_eq!(parse("/new alone"), Ok(Command::New { name: "alone".into(), people: vec![] }));
        for (line, command) in [
            ("/chats", Command::Chats),
            ("/who", Command::Who),
            ("/edit  it  is so", Command::Edit("it  is so".into())),
            ("/delete", Command::Delete),
            ("/react +1", Command::React { emoji: "+1".into(), remove: false }),
            ("/unreact +1", Command::React { emoji: "+1".into(), remove: true }),
            ("/status away", Command::Status("away".into())),
            ("/attach 'a b' look", Command::Attach { path: "a b".into(), text: "look".into() }),
            ("/more", Command::More),
            ("/help", Command::Help),
            ("/quit ", Command::Quit),
            ("/leave", Command::Leave),
            ("/invite @bob carol", Command::Invite(vec!["bob".into(), "carol".into()])),
            ("/search two from:bob ", Command::Search("two from:bob".into())),
            ("/search", Command::Search(String::new())),
            ("/goto 12", Command::Goto(12)),
            ("/find two words", Command::Full(FullCommand::Find("two words".into()))),
            ("/msg @bob", Command::Direct("bob".into())),
            ("/part", Command::Leave),
            ("/away", Command::Status("away".into())),
            ("/mute", Command::Full(FullCommand::Notify("none".into()))),
            ("/me waves", Command::Send("*waves*".into())),
            ("/notify none", Command::Full(FullCommand::Notify("none".into()))),
        ] {
            assert_eq!(parse(line), Ok(command));
        }
    }

    /// The help named a command that the parser refused.
    #[test]
    fn parse_accepts_every_command_of_the_help() {
        for name in names() {
            let refused = parse(&format!("/{name}")).is_err_and(|error| error.contains("unknown"));
            assert!(!refused, "{name}");
        }
        assert!(names().any(|name| name == "discard") && !names().any(|name| name.contains(['/', ' '])));
    }

    #[test]
    fn commands_are_not_messages() {
        for (line, is_sent) in
            [("hello", true), ("//etc", true), ("/open 1", false), ("", false), ("  ", false)]
        {
            assert_eq!(is_message(line), is_sent, "{line}");
        }
    }

    #[test]
    fn parse_refuses_malformed_commands() {
        for line in [
            "/",
            "/open",
            "/new",
            "/new \"team bob",
            "/dm",
            "/dm a b",
            "/edit",
            "/react",
            "/status",
            "/join",
            "/quit now",
            "/goto",
            "/goto -1",
            "/find",
            "/opne x",
            "/QUIT",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
