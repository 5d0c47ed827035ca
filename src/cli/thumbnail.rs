//! `netbit thumbnail`: the child process that decodes a picture. The server starts it; users have
//! no use for it.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;

use clap::Args;

use super::output;
use crate::core::fail_points;
use crate::pictures::child::{EXIT_DAMAGED, EXIT_IO, EXIT_NOT_CONFINED, EXIT_TOO_LARGE};
use crate::pictures::confine::confine;
use crate::pictures::escape;
use crate::pictures::maker::{MakeError, make};
use crate::pictures::{Shape, ThumbnailOrder};

/// Reads a picture from standard input, which is a file, and writes a smaller one to standard
/// output.
#[derive(Args)]
#[group(skip)]
pub(super) struct ThumbnailArguments {
    /// Side in pixels of the square in which the picture fits.
    #[arg(long, value_name = "PIXELS", required_unless_present = "square")]
    within: Option<u32>,
    /// Side in pixels of the square that is cut from the middle.
    #[arg(long, value_name = "PIXELS", conflicts_with = "within")]
    square: Option<u32>,
    /// Pixels of the largest picture that is decoded.
    #[arg(long)]
    pixels: u64,
    /// Memory in addition to that of the program.
    #[arg(long)]
    memory_bytes: u64,
    #[arg(long)]
    cpu_seconds: u64,
    /// Bytes of the largest result.
    #[arg(long)]
    output_bytes: u64,
}

impl ThumbnailArguments {
    fn order(&self) -> ThumbnailOrder {
        let shape = match (self.within, self.square) {
            (_, Some(side)) => Shape::Square(side),
            (within, None) => Shape::Within(within.unwrap_or(1)),
        };
        ThumbnailOrder {
            shape,
            pixels: self.pixels,
            memory_bytes: self.memory_bytes,
            cpu_seconds: self.cpu_seconds,
            output_bytes: self.output_bytes,
        }
    }
}

pub(super) fn run(arguments: &ThumbnailArguments) -> Result<ExitCode, ExitCode> {
    let order = arguments.order();
    let failed = |error: io::Error, code: u8| {
        output::report_error(&error.into());
        ExitCode::from(code)
    };
    // A copy of the descriptor, which can be sought. Nothing is opened after `confine`.
    let input = io::stdin().as_fd().try_clone_to_owned().map_err(|error| failed(error, EXIT_IO))?;
    let input = File::from(input);
    confine(&order).map_err(|error| failed(error, EXIT_NOT_CONFINED))?;
    if fail_points::fails(fail_points::PICTURE_ESCAPE) {
        let tried = escape::attempts();
        io::stdout().write_all(tried.as_bytes()).map_err(|error| failed(error, EXIT_IO))?;
        return Ok(ExitCode::SUCCESS);
    }
    let made = make(BufReader::new(input), &order).map_err(|error| {
        output::warn(format_args!("{error}"));
        ExitCode::from(match error {
            MakeError::Damaged(_) => EXIT_DAMAGED,
            MakeError::TooLarge(_) => EXIT_TOO_LARGE,
            MakeError::Io(_) => EXIT_IO,
        })
    })?;
    let mut stdout = io::stdout().lock();
    stdout.write_all(&made).and_then(|()| stdout.flush()).map_err(|error| failed(error, EXIT_IO))?;
    Ok(ExitCode::SUCCESS)
}
