//! How long a client is waited for: with a head, a body, an answer that it does not take, and between requests.

use std::time::Duration;

/// What is asked of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// A head arrives within this.
    pub head_time: Duration,
    /// Nothing needs to come for this long between two requests.
    pub idle: Duration,
    /// Bytes a second of a body, on average over the time in which it was waited for; 0 asks for nothing.
    pub body_rate: u64,
    /// How long a body is waited for before the rate is asked of it.
    pub body_grace: Duration,
    /// Something of an answer is taken within this.
    pub write_stall: Duration,
}

/// Where a connection stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// Between two requests, or before the first.
    #[default]
    Idle,
    /// A part of a head has come.
    Head,
    /// More of a body is waited for.
    Body,
    /// The service works, or the body is not asked for: nobody waits for the client.
    Ours,
}

/// What is seen of a connection at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Where it stands.
    pub standing: Standing,
    /// How many heads have come.
    pub heads: u32,
    /// Bytes of the present body that have come.
    pub received: u64,
    /// Bytes that the client has taken.
    pub taken: u64,
    /// Bytes wait to be taken.
    pub is_blocked: bool,
}

/// What a client is told whose time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: an idle connection is closed.
    Close,
    /// That its head took too long.
    HeadTime,
    /// That its body came too slowly.
    BodyRate,
    /// Nothing, since it would not read it: the connection is reset.
    Reset,
}

/// The account of one connection, kept by looking at it now and then. Time counts only between two looks that found the
/// same, so nobody is judged early; late by two periods at most.
#[derive(Clone, Copy, Debug, Default)]
pub struct Patience {
    last: Option<Look>,
    spent: Duration,
    waited: Duration,
    stalled: Duration,
}

impl Patience {
    /// Takes in what is seen, `elapsed` after the look before.
    pub fn look(&mut self, terms: &Terms, elapsed: Duration, seen: Look) -> Option<Verdict> {
        let last = self.last.replace(seen)?;
        if seen.heads != last.heads {
            self.waited = Duration::ZERO;
        }
        let goes_on = seen.heads == last.heads && seen.standing == last.standing;
        self.spent = if goes_on { self.spent + elapsed } else { Duration::ZERO };
        if goes_on && seen.standing == Standing::Body {
            self.waited += elapsed;
        }
        let is_stalled = seen.is_blocked && last.is_blocked && seen.taken == last.taken;
        self.stalled = if is_stalled { self.stalled + elapsed } else { Duration::ZERO };
        if self.stalled >= terms.write_stall {
            return Some(Verdict::Reset);
        }
        match seen.standing {
            // What a client still takes is no silence of its own.
            Standing::Idle => (self.spent >= terms.idle && !seen.is_blocked).then_some(Verdict::Close),
            Standing::Head => (self.spent >= terms.head_time).then_some(Verdict::HeadTime),
            Standing::Body => self.is_too_slow(terms, seen.received).then_some(Verdict::BodyRate),
            Standing::Ours => None,
        }
    }

    fn is_too_slow(&self, terms: &Terms, received: u64) -> bool {
        let asked = self.waited.as_millis().saturating_mul(terms.body_rate.into()) / 1000;
        self.waited > terms.body_grace && u128::from(received) < asked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms {
        head_time: Duration::from_secs(15),
        idle: Duration::from_secs(75),
        body_rate: 240,
        body_grace: Duration::from_secs(5),
        write_stall: Duration::from_secs(30),
    };
    const SECOND: Duration = Duration::from_secs(1);

    /// Looks each second at what `client` shows then; the second of the verdict.
    fn judged(seconds: u64, client: impl Fn(u64) -> Look) -> Option<(u64, Verdict)> {
        let mut patience = Patience::default();
        (0..seconds).find_map(|second| Some((second, patience.look(&TERMS, SECOND, client(second))?)))
    }

    #[test]
    fn silence_is_ended_and_talk_is_not() {
        assert_eq!(judged(100, |_| Look::default()), Some((75, Verdict::Close)));
        assert_eq!(judged(1000, |second| Look { heads: second as u32 / 70, ..Look::default() }), None);
        let blocked = |second| Look { is_blocked: true, taken: second, ..Look::default() };
        assert_eq!(judged(1000, blocked), None);
    }

    #[test]
    fn a_head_has_its_time_in_whole_however_many_bytes_it_drips() {
        let head = Look { standing: Standing::Head, ..Look::default() };
        assert_eq!(judged(100, |_| head), Some((15, Verdict::HeadTime)));
        assert_eq!(judged(1000, |second| Look { heads: second as u32 / 14, ..head }), None);
    }

    #[test]
    fn a_body_has_its_rate_over_the_time_in_which_it_was_waited_for() {
        let body = |received| Look { standing: Standing::Body, heads: 1, received, ..Look::default() };
        assert_eq!(judged(100, |_| body(0)), Some((6, Verdict::BodyRate)));
        assert_eq!(judged(1000, |second| body(second * 240)), None);
        assert_eq!(judged(1000, |second| body(second * 200)).map(|(_, verdict)| verdict), Some(Verdict::BodyRate));
        // A service that does not read is no fault of the client's.
        assert_eq!(judged(1000, |_| Look { standing: Standing::Ours, heads: 1, ..Look::default() }), None);
    }

    #[test]
    fn who_takes_nothing_is_cut_and_who_takes_a_little_is_not() {
        let reader = |taken| Look { standing: Standing::Ours, is_blocked: true, taken, ..Look::default() };
        assert_eq!(judged(100, |_| reader(5)), Some((30, Verdict::Reset)));
        assert_eq!(judged(1000, |second| reader(second / 29)), None);
    }

    #[test]
    fn nobody_is_judged_for_what_was_not_seen_twice() {
        let mut patience = Patience::default();
        let head = Look { standing: Standing::Head, ..Look::default() };
        assert_eq!(patience.look(&TERMS, Duration::from_secs(3600), head), None);
        assert_eq!(patience.look(&TERMS, SECOND, head), None);
    }
}
