//! The loop: one input after the other, then a picture.

use std::io;
use std::sync::mpsc;
use std::thread;

use evercrew_sys::signal::SignalFd;

use super::draw::draw;
use super::model::{Effect, Input, Model};
use super::screen::Screen;
use super::sources::{self, REFRESH};
use crate::arguments::Global;
use crate::failure::{Failure, code};

/// Inputs that wait for the picture before them.
const WAITING: usize = 64;

/// What a source has to say.
#[derive(Debug)]
pub(crate) enum Heard {
    /// For the model.
    Input(Input),
    /// This process was stopped for a while, or its picture is to be drawn anew.
    Continued,
    /// By the signal of this number.
    Ended(u8),
    /// Nobody sees it any more.
    TerminalLost(String),
}

/// Shows it until its owner has seen enough.
///
/// # Errors
/// There is no terminal, or it is lost.
pub(crate) fn run(global: &Global, color: bool) -> Result<u8, Failure> {
    let failed = |error: io::Error| Failure::new(code::FAILURE, format!("cannot use the terminal: {error}"));
    // Before there are threads: they inherit what is blocked.
    let signals = SignalFd::block_all().map_err(failed)?;
    let (heard, inputs) = mpsc::sync_channel(WAITING);
    let (poke, poked) = mpsc::sync_channel(1);
    let (read, wanted) = mpsc::channel();
    let mut screen = Screen::open().map_err(failed)?;
    ratatui::crossterm::style::force_color_output(color);
    let (keys, looks, lines, asker) = (heard.clone(), heard.clone(), heard.clone(), global.clone());
    begin(move || sources::listen(&signals, &keys)).map_err(failed)?;
    begin(move || sources::watch(&asker, &poked, &looks)).map_err(failed)?;
    begin(move || sources::read(&wanted, &lines)).map_err(failed)?;
    let (mut model, mut shown) = (Model::default(), None);
    loop {
        screen.draw(|frame| draw(frame, &model, color)).map_err(failed)?;
        // Drawn once a second in any case: a terminal that is gone shows when it is written to.
        let first = inputs.recv_timeout(REFRESH).ok();
        for input in first.into_iter().chain(inputs.try_iter().take(WAITING)) {
            match input {
                Heard::Input(input) => match model.take(input) {
                    Effect::Nothing => {}
                    Effect::Quit => return Ok(0),
                    Effect::Ask(order) => {
                        let (global, heard, poke) = (global.clone(), heard.clone(), poke.clone());
                        begin(move || {
                            sources::carry_out(&global, &order, &heard);
                            // What it came to is looked at at once; one look that is due does for all.
                            let _ = poke.try_send(());
                        })
                        .map_err(failed)?;
                    }
                },
                Heard::Continued => screen.take_again().map_err(failed)?,
                Heard::Ended(number) => return Ok(128 + number),
                Heard::TerminalLost(why) => return Err(failed(io::Error::other(why))),
            }
        }
        if model.wanted_lines() != shown {
            shown = model.wanted_lines();
            let _ = read.send(shown.clone());
        }
    }
}

/// A thread that ends with the process.
fn begin(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().spawn(work).map(|_| ())
}
