//! Terminal input and output, line by line.
//!
//! At a terminal rustyline edits the current line and prints incoming lines above it. Without a
//! terminal (a script, a test, a dumb terminal) lines are read and written plainly.
//!
//! Invariant: the reading thread reads only with a permit ([`Input::allow`]). So the answer to a
//! command appears above the next prompt, and a script cannot run ahead of the server. The terminal
//! is in its ordinary mode when the program ends after a command.

use std::io::{self, BufRead, IsTerminal, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use rustyline::history::DefaultHistory;
use rustyline::{Editor, ExternalPrinter};
use tokio::sync::mpsc;

use super::keys::Keys;
use super::line::{Line, render};
use crate::domain::message::CONTENT_BYTES_MAX;

const PROMPT: &str = "> ";
/// End of bracketed paste, which rustyline begins with each line.
const PASTE_OFF: &str = "\u{1b}[?2004l";
/// A line longer than any message is cut here: a file without line feeds must not fill the memory.
const LINE_BYTES_MAX: u64 = 4 * CONTENT_BYTES_MAX as u64;

/// Time that the last lines may take to reach the terminal.
const FINISH: Duration = Duration::from_secs(1);

/// Output of lines.
pub(super) struct Screen {
    printer: Option<Printer>,
    interactive: bool,
    colours: bool,
}

/// A thread that prints above the current line. Rustyline's printer waits for the reader of the
/// line, which may wait for this task. So only this thread waits for the printer.
struct Printer {
    texts: Sender<String>,
    /// Disconnected when everything is printed.
    finished: Receiver<()>,
}

/// Input of the user.
pub(super) enum Typed {
    /// `None`: end of the input.
    Line(Option<String>),
    Key,
}

/// Input of lines.
pub(super) struct Input {
    lines: mpsc::Receiver<Option<String>>,
    /// At a terminal: receives a signal when the line is edited.
    keys: Option<mpsc::Receiver<()>>,
    permits: Sender<()>,
    reading: bool,
    /// Modes of the terminal, as `stty` wrote them.
    modes: Option<String>,
}

impl Screen {
    pub(super) fn show(&mut self, lines: &[Line]) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        if !self.interactive {
            return lines.iter().try_for_each(|line| self.write(line));
        }
        let text: String = lines.iter().map(|line| render(line, self.colours) + "\n").collect();
        match &self.printer {
            // The printer thread ends with the terminal.
            Some(printer) => printer.texts.send(text).map_err(|_| io::ErrorKind::BrokenPipe.into()),
            None => io::stdout().write_all(text.as_bytes()),
        }
    }

    /// In a script, failures go to standard error.
    fn write(&self, line: &Line) -> io::Result<()> {
        let text = render(line, self.colours) + "\n";
        if matches!(line, Line::Problem(_)) {
            return io::stderr().write_all(text.as_bytes());
        }
        let mut stdout = io::stdout();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    }

    /// Waits until all shown lines are on the screen.
    pub(super) fn finish(&mut self) {
        if let Some(Printer { texts, finished }) = self.printer.take() {
            drop(texts);
            // The channel carries no values: the wait ends when the thread ends or at the timeout.
            let _ = finished.recv_timeout(FINISH);
        }
    }

    /// Whether a user sits at a terminal.
    pub(super) fn is_interactive(&self) -> bool {
        self.interactive
    }
}

impl Input {
    /// Permits reading the next line, unless it is being read already.
    pub(super) fn allow(&mut self) {
        if !self.reading {
            // Before it ends, the thread has reported the end of the input.
            self.reading = self.permits.send(()).is_ok();
        }
    }

    /// Returns the next line, or that a line is being edited. Cancel safe.
    pub(super) async fn next(&mut self) -> Typed {
        let key = async {
            let pressed = match &mut self.keys {
                Some(keys) => keys.recv().await,
                None => None,
            };
            if pressed.is_none() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            line = self.lines.recv() => {
                self.reading = false;
                Typed::Line(line.flatten())
            }
            () = key => Typed::Key,
        }
    }

    /// Restores the terminal. A thread that still reads a line keeps it in raw mode and cannot be
    /// interrupted.
    pub(super) fn leave(&self) {
        if let Some(modes) = self.modes.as_ref().filter(|_| self.reading) {
            let restored = Command::new("stty").arg(modes).status();
            let ended = io::stdout().write_all(PASTE_OFF.as_bytes()).and_then(|()| writeln!(io::stdout()));
            // Errors cannot be reported any more.
            drop((restored, ended));
        }
    }
}

/// Opens the terminal, or the plain streams, without reading.
pub(super) fn open() -> (Screen, Input) {
    let interactive = io::stdin().is_terminal();
    let colours =
        io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let editor = (interactive && io::stdout().is_terminal())
        .then(|| Editor::<Keys, DefaultHistory>::new().ok())
        .flatten();
    let edited = editor.and_then(|mut editor| {
        let printer = editor.create_external_printer().ok()?;
        Some((editor, print_with(printer)))
    });
    let (line, lines) = mpsc::channel(1);
    let (permits, permit) = channel();
    let (printer, modes, keys) = match edited {
        Some((mut editor, printer)) => {
            let modes = terminal_modes();
            let (helper, keys) = Keys::new();
            editor.set_helper(Some(helper));
            std::thread::spawn(move || feed(&line, &permit, || edit(&mut editor)));
            (Some(printer), modes, Some(keys))
        }
        None => {
            std::thread::spawn(move || feed(&line, &permit, read));
            (None, None, None)
        }
    };
    (Screen { printer, interactive, colours }, Input { lines, keys, permits, reading: false, modes })
}

fn print_with(mut printer: impl ExternalPrinter + Send + 'static) -> Printer {
    let ((texts, printed), (alive, finished)) = (channel(), channel());
    std::thread::spawn(move || {
        let _alive: Sender<()> = alive;
        while let Ok(text) = printed.recv() {
            if printer.print(text).is_err() {
                return;
            }
        }
    });
    Printer { texts, finished }
}

/// The reading thread: reads a line for each permit.
fn feed(
    line: &mpsc::Sender<Option<String>>,
    permits: &Receiver<()>,
    mut next: impl FnMut() -> Option<String>,
) {
    while permits.recv().is_ok() {
        let typed = next();
        let ended = typed.is_none();
        if line.blocking_send(typed).is_err() || ended {
            return;
        }
    }
}

/// Reads a line from the editor; Ctrl-C and Ctrl-D end the input.
fn edit(editor: &mut Editor<Keys, DefaultHistory>) -> Option<String> {
    let line = editor.readline(PROMPT).ok()?;
    // An error of the history is not fatal.
    drop(editor.add_history_entry(&line));
    Some(line)
}

/// Reads a line from a plain stream; the rest of a line that is too long is discarded.
fn read() -> Option<String> {
    let mut stdin = io::stdin().lock();
    let mut line = Vec::new();
    let count = io::Read::take(&mut stdin, LINE_BYTES_MAX).read_until(b'\n', &mut line).ok()?;
    if count == 0 {
        return None;
    }
    if line.last() != Some(&b'\n') && count as u64 == LINE_BYTES_MAX {
        stdin.skip_until(b'\n').ok()?;
    }
    Some(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned())
}

/// Returns the modes in the format of POSIX `stty -g`: safe to restore, without a further
/// dependency.
fn terminal_modes() -> Option<String> {
    let output =
        Command::new("stty").arg("-g").stdin(Stdio::inherit()).stderr(Stdio::null()).output().ok()?;
    let modes = String::from_utf8(output.stdout).ok()?;
    let modes = modes.trim();
    (output.status.success() && !modes.is_empty()).then(|| modes.to_owned())
}
