//! What was typed, as a command.
//!
//! A line that begins with `/` is a command; `//` says a line that begins with `/`.

/// What `/help` prints.
pub(super) const HELP: &[&str] = &[
    "/chats                    list your chats",
    "/open N, /open NAME       open a chat; what you type then goes there",
    "/new NAME USER USER…      make a group (\"a name with spaces\" in quotes)",
    "/dm USER                  talk to one person",
    "/join NAME                join a channel",
    "/who                      who is in the open chat, and who is there",
    "/edit TEXT                replace your last message",
    "/delete                   take your last message back",
    "/react EMOJI              react to the last message; /unreact takes it back",
    "/status STATUS            online, away, dnd or invisible",
    "/more                     older messages of the open chat",
    "/quit                     leave (also Ctrl-D)",
    "//TEXT                    say a line that begins with /",
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    Nothing,
    Say(String),
    Chats,
    Open(String),
    New { name: String, people: Vec<String> },
    Direct(String),
    Join(String),
    Who,
    Edit(String),
    Delete,
    React { emoji: String, remove: bool },
    Status(String),
    More,
    Help,
    Quit,
}

/// The command, or a sentence that says what is wrong with it.
pub(super) fn parse(line: &str) -> Result<Command, String> {
    if line.trim().is_empty() {
        return Ok(Command::Nothing);
    }
    let Some(command) = line.strip_prefix('/') else { return Ok(Command::Say(line.to_owned())) };
    if command.starts_with('/') {
        return Ok(Command::Say(command.to_owned()));
    }
    let (name, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
    let rest = rest.trim();
    let one = |usage: &str| match words(rest)?.as_slice() {
        [word] => Ok(word.clone()),
        // A name may have spaces where nothing comes after it.
        [_, ..] if name != "dm" => Ok(rest.to_owned()),
        _ => Err(format!("usage: {usage}")),
    };
    let alone = |command: Command| {
        if rest.is_empty() { Ok(command) } else { Err(format!("/{name} takes nothing behind it")) }
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
        "who" => alone(Command::Who),
        "edit" if rest.is_empty() => Err("usage: /edit TEXT".to_owned()),
        "edit" => Ok(Command::Edit(rest.to_owned())),
        "delete" => alone(Command::Delete),
        "react" => one("/react EMOJI").map(|emoji| Command::React { emoji, remove: false }),
        "unreact" => one("/unreact EMOJI").map(|emoji| Command::React { emoji, remove: true }),
        "status" => one("/status online, away, dnd or invisible").map(Command::Status),
        "more" => alone(Command::More),
        "help" => alone(Command::Help),
        "quit" => alone(Command::Quit),
        _ => Err(format!("there is no command /{name}; /help lists them, // says a line that begins with /")),
    }
}

/// A user name as one may write it in talk.
fn person(text: &str) -> String {
    text.trim_start_matches('@').to_owned()
}

/// Words between spaces; quotes hold a word with spaces together.
fn words(text: &str) -> Result<Vec<String>, String> {
    let (mut words, mut rest) = (Vec::new(), text.trim_start());
    while !rest.is_empty() {
        let (word, behind) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').ok_or("the quotes are not closed")?,
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
    fn a_line_is_said_as_it_is() {
        assert_eq!(parse("hello  world "), Ok(Command::Say("hello  world ".into())));
        assert_eq!(parse("//etc/hosts"), Ok(Command::Say("/etc/hosts".into())));
        assert_eq!(parse(" /quit"), Ok(Command::Say(" /quit".into())));
        assert_eq!(parse("  "), Ok(Command::Nothing));
    }

    #[test]
    fn commands_take_names() {
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
            ("/more", Command::More),
            ("/help", Command::Help),
            ("/quit ", Command::Quit),
        ] {
            assert_eq!(parse(line), Ok(command));
        }
    }

    #[test]
    fn mistakes_are_told() {
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
            "/opne x",
            "/QUIT",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
