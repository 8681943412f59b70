//! What goes wrong in a run, and when it is over.

use super::run::{BAD, Happening, Run};

impl Run {
    pub(super) fn plan_trouble(&mut self) {
        if self.random.chance(10) {
            return;
        }
        for _ in 0..self.random.between(0, 4) {
            self.soon(BAD, Happening::Cut);
        }
        for _ in 0..self.random.between(0, 2) {
            self.soon(BAD - 30_000, Happening::Mute);
        }
        for _ in 0..self.random.between(0, 2) {
            let from = self.soon(BAD - 70_000, Happening::Down);
            let long = if self.random.chance(30) { 66_000 } else { 10_000 };
            let length = self.random.millis(10, long);
            self.at(from.after(length), Happening::Up);
        }
        for _ in 0..self.random.between(0, 2) {
            let from = self.soon(BAD - 40_000, Happening::Stall(true));
            let length = self.random.millis(10, 30_000);
            self.at(from.after(length), Happening::Stall(false));
        }
        if self.random.chance(30) {
            let from = self.soon(BAD - 40_000, Happening::Refuse(true));
            let length = self.random.millis(10, 20_000);
            self.at(from.after(length), Happening::Refuse(false));
        }
        if self.random.chance(30) {
            self.soon(BAD, Happening::Forget);
        }
    }

    pub(super) fn clear_up(&mut self) -> Result<(), String> {
        self.is_good = true;
        self.black_hole = false;
        self.happen(Happening::Up)?;
        self.happen(Happening::Stall(false))?;
        self.happen(Happening::Refuse(false))
    }
}
