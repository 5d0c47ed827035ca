//! Highlights code, line by line, with nine classes.
//!
//! The generator of `syntect` writes a class for each scope, which makes code 14 times larger. This
//! one maps scopes to [`Class`] and joins neighbours of one class.
//!
//! # Limits
//! A text is highlighted up to the limits of a [`Budget`]. The rest is plain text: reading goes on
//! without colours, and [`Highlighted::highlighted_to`] reports the line.
//!
//! The time is checked after each line; within a line nothing stops the engine. Its retry limit
//! bounds one attempt of one regular expression, and a line has thousands. So the lines themselves
//! are bounded: see [`HIGHLIGHT_LINE_BYTES_MAX`], [`WORD_HYPHENS_MAX`] and [`SLOW_SYNTAXES`].

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use syntect::parsing::{ParseState, ScopeStack, ScopeStackOp, SyntaxReference, SyntaxSet};

use super::SafeHtml;
use super::hidden::Marks;
use super::scope_class::ScopeClasses;

/// Maximum size of a highlighted text.
pub const HIGHLIGHT_BYTES_MAX: usize = 512 * 1024;
/// Maximum length of a highlighted line; a longer line is plain text.
pub const HIGHLIGHT_LINE_BYTES_MAX: usize = 500;
/// Maximum time of a line; the lines after it are plain text.
pub const HIGHLIGHT_LINE_TIME_MAX: Duration = Duration::from_millis(50);
/// Maximum time of highlighting for one page.
pub const HIGHLIGHT_TIME_MAX: Duration = Duration::from_millis(100);
/// Maximum size of the HTML of the highlighted part.
pub const HIGHLIGHT_HTML_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Length of the part of the first line that can name the language.
const FIRST_LINE_BYTES_MAX: usize = 200;
/// Maximum hyphens between characters of a word; a line with more is plain text. Less, Sass and
/// SCSS match names of elements in a time that grows with the third power of the hyphens: 200
/// hyphens took 40 s. Other languages can contain these, so the rule is for all.
const WORD_HYPHENS_MAX: usize = 16;
/// Languages that are plain text. One line of [`HIGHLIGHT_LINE_BYTES_MAX`] took 200 to 500 ms; for
/// all other languages, at most 150 ms.
const SLOW_SYNTAXES: &[&str] = &["Lisp", "LiveScript", "SystemVerilog"];
/// Names of files and languages that the syntax definitions do not list, with an extension of the
/// language.
const ALIASES: &[(&str, &str)] = &[
    ("bazel", "py"),
    ("cargo.lock", "toml"),
    ("cjs", "js"),
    ("console", "sh"),
    ("containerfile", "dockerfile"),
    ("cts", "ts"),
    ("golang", "go"),
    ("jsonc", "json"),
    ("justfile", "makefile"),
    ("mjs", "js"),
    ("mts", "ts"),
    ("poetry.lock", "toml"),
    ("shell", "sh"),
    ("shell-session", "sh"),
    ("uv.lock", "toml"),
];

/// The syntax definitions of 213 languages, which never change.
static SYNTAXES: LazyLock<SyntaxSet> = LazyLock::new(two_face::syntax::extra_newlines);

/// The kind of a part of code, which decides its colour. Operators and punctuation are plain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// `hl-c`
    Comment,
    /// `hl-k`: also modifiers, `self`, tags of markup, and deleted lines of a diff.
    Keyword,
    /// `hl-s`: also links and raw text of markup, and inserted lines of a diff.
    String,
    /// `hl-n`: also other constants and escapes in strings.
    Number,
    /// `hl-t`
    Type,
    /// `hl-f`: also macros.
    Function,
    /// `hl-v`: parameters, members and labels; other variables are plain.
    Variable,
    /// `hl-a`: also annotations and keys.
    Attribute,
    /// `hl-m`: headings and emphasis of markup.
    Markup,
}

impl Class {
    /// Returns the name of the class in the style sheet.
    pub fn css(self) -> &'static str {
        match self {
            Self::Comment => "hl-c",
            Self::Keyword => "hl-k",
            Self::String => "hl-s",
            Self::Number => "hl-n",
            Self::Type => "hl-t",
            Self::Function => "hl-f",
            Self::Variable => "hl-v",
            Self::Attribute => "hl-a",
            Self::Markup => "hl-m",
        }
    }
}

/// Limits the work of highlighting. The texts of a page share one.
#[derive(Debug, Clone)]
pub struct Budget {
    pub bytes_left: usize,
    pub time_left: Duration,
    pub line_time_max: Duration,
    pub html_bytes_left: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            bytes_left: HIGHLIGHT_BYTES_MAX,
            time_left: HIGHLIGHT_TIME_MAX,
            line_time_max: HIGHLIGHT_LINE_TIME_MAX,
            html_bytes_left: HIGHLIGHT_HTML_BYTES_MAX,
        }
    }
}

/// The lines of a text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Highlighted {
    /// The lines without their line ends. A line end at the end of the text begins no line.
    pub lines: Vec<SafeHtml>,
    /// The number of lines before the first line that a limit left plain; the number of all lines
    /// if no limit was reached or if the language is not known.
    pub highlighted_to: usize,
    /// The name of the language, such as `Rust`. `None` for plain text and unknown languages.
    pub language: Option<&'static str>,
    /// Whether the text has invisible characters, or characters that change the direction of text.
    pub has_hidden: bool,
}

/// Highlights a file. The name of the file or its first line decides about the language.
pub fn highlight(path: &str, text: &str, budget: &mut Budget) -> Highlighted {
    let text = without_mark(text);
    lines(text, syntax_of_file(path, text), budget)
}

/// Highlights a text of a language that a document names, such as `rust` or `rs`.
pub fn highlight_language(language: &str, text: &str, budget: &mut Budget) -> Highlighted {
    lines(text, syntax_of_name(language), budget)
}

/// Returns the lines of a text without highlighting.
pub fn plain_lines(text: &str) -> Highlighted {
    lines(without_mark(text), None, &mut Budget::default())
}

/// Returns a text without the byte order mark at its start.
fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

fn syntax_of_file(path: &str, text: &str) -> Option<&'static SyntaxReference> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    let by_name = syntax_of_extension(name).or_else(|| syntax_of_extension(extension?));
    by_name.or_else(|| {
        let line = text.split('\n').next()?;
        let line = line.get(..line.floor_char_boundary(FIRST_LINE_BYTES_MAX))?;
        SYNTAXES.find_syntax_by_first_line(line)
    })
}

fn syntax_of_name(language: &str) -> Option<&'static SyntaxReference> {
    syntax_of_extension(language).or_else(|| SYNTAXES.find_syntax_by_token(language))
}

fn syntax_of_extension(extension: &str) -> Option<&'static SyntaxReference> {
    let alias = ALIASES.iter().find(|(name, _)| name.eq_ignore_ascii_case(extension));
    let found = SYNTAXES.find_syntax_by_extension(alias.map_or(extension, |(_, known)| known));
    found.filter(|syntax| syntax.name != "Plain Text")
}

fn lines(text: &str, syntax: Option<&'static SyntaxReference>, budget: &mut Budget) -> Highlighted {
    let syntax = syntax.filter(|syntax| !SLOW_SYNTAXES.contains(&syntax.name.as_str()));
    let mut result =
        Highlighted { language: syntax.map(|syntax| syntax.name.as_str()), ..Highlighted::default() };
    let mut marks = Marks::default();
    let mut highlighter = syntax.filter(|_| text.len() <= budget.bytes_left).map(Highlighter::new);
    if highlighter.is_some() {
        budget.bytes_left = budget.bytes_left.saturating_sub(text.len());
    }
    // A text of an unknown language has nothing to highlight, so no limit ends it.
    let mut limited_at = (syntax.is_some() && highlighter.is_none()).then_some(0);
    for line in text.split_inclusive('\n') {
        let shown = line.strip_suffix('\n').unwrap_or(line);
        let shown = shown.strip_suffix('\r').unwrap_or(shown);
        let mut html = String::with_capacity(shown.len());
        let written = highlighter.as_mut().map(|it| it.push_line(&mut html, line, shown, &mut marks, budget));
        match written {
            Some(Written::Line) => {}
            Some(Written::Stopped) => {
                highlighter = None;
                limited_at = Some(result.lines.len());
                html.clear();
                marks.push(&mut html, shown, 0..shown.len());
            }
            None => marks.push(&mut html, shown, 0..shown.len()),
        }
        result.lines.push(SafeHtml::written(html));
    }
    result.highlighted_to = limited_at.unwrap_or(result.lines.len());
    result.has_hidden = marks.found;
    result
}

#[derive(Debug, PartialEq, Eq)]
enum Written {
    Line,
    /// A limit was reached, or the syntax definition is wrong.
    Stopped,
}

/// The state of highlighting between two lines.
struct Highlighter {
    state: ParseState,
    stack: ScopeStack,
    classes: ScopeClasses,
    /// Whether a line took longer than its limit.
    was_slow: bool,
}

/// Returns whether the syntax definitions may read a line.
fn is_bounded(line: &str) -> bool {
    let inner = |word: &str| {
        word.as_bytes().windows(2).filter(|pair| matches!(pair, [b'-', c] if *c != b'-')).count()
    };
    line.len() <= HIGHLIGHT_LINE_BYTES_MAX
        && line.split_ascii_whitespace().all(|word| inner(word) <= WORD_HYPHENS_MAX)
}

impl Highlighter {
    fn new(syntax: &SyntaxReference) -> Self {
        Self {
            state: ParseState::new(syntax),
            stack: ScopeStack::new(),
            classes: ScopeClasses::default(),
            was_slow: false,
        }
    }

    /// Appends a line. `shown` is `line` without its line end.
    fn push_line(
        &mut self,
        html: &mut String,
        line: &str,
        shown: &str,
        marks: &mut Marks,
        budget: &mut Budget,
    ) -> Written {
        if self.was_slow || budget.time_left.is_zero() || shown.len() > budget.html_bytes_left {
            return Written::Stopped;
        }
        if !is_bounded(shown) {
            marks.push(html, shown, 0..shown.len());
            return Written::Line;
        }
        let begin = Instant::now();
        let parsed = self.state.parse_line(line, &SYNTAXES);
        let written = match parsed {
            Ok(changes) => self.push_pieces(html, shown, &changes, marks),
            Err(_) => Written::Stopped,
        };
        let time = begin.elapsed();
        self.was_slow = time > budget.line_time_max;
        budget.time_left = budget.time_left.saturating_sub(time);
        budget.html_bytes_left = budget.html_bytes_left.saturating_sub(html.len());
        written
    }

    fn push_pieces(
        &mut self,
        html: &mut String,
        shown: &str,
        changes: &[(usize, ScopeStackOp)],
        marks: &mut Marks,
    ) -> Written {
        let (mut open, mut from) = (None, 0);
        let ends = changes.iter().map(|(at, change)| (*at, Some(change)));
        for (at, change) in ends.chain([(shown.len(), None)]) {
            let to = at.min(shown.len());
            if let Some(piece) = shown.get(from..to).filter(|piece| !piece.is_empty()) {
                // White space continues the class before it, which saves elements.
                let is_blank = piece.bytes().all(|byte| byte == b' ' || byte == b'\t');
                let class = if is_blank { open } else { self.classes.of(&self.stack) };
                if class != open {
                    push_end(html, open);
                    push_start(html, class);
                    open = class;
                }
                marks.push(html, shown, from..to);
                from = to;
            }
            // The parser bounds the nesting of scopes.
            if change.is_some_and(|change| self.stack.apply(change).is_err()) {
                return Written::Stopped;
            }
        }
        push_end(html, open);
        Written::Line
    }
}

fn push_start(html: &mut String, class: Option<Class>) {
    if let Some(class) = class {
        html.push_str("<span class=\"");
        html.push_str(class.css());
        html.push_str("\">");
    }
}

fn push_end(html: &mut String, class: Option<Class>) {
    if class.is_some() {
        html.push_str("</span>");
    }
}

#[cfg(test)]
#[path = "code_test.rs"]
mod tests;
