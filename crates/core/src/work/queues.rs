//! In which order queues are asked.

use super::event::Order;
use crate::lots::Lots;

/// The queues of a worker, by their places.
#[derive(Debug)]
pub(super) struct Queues {
    weights: Option<Vec<u32>>,
}

impl Queues {
    pub(super) fn new(weights: Option<Vec<u32>>) -> Self {
        Self { weights }
    }

    /// The order of the next fetch: each queue is the next one with a chance in proportion to its weight.
    pub(super) fn order(&self, lots: &mut Lots) -> Order {
        let Some(weights) = &self.weights else { return Order::AsGiven };
        let mut left: Vec<(u16, u64)> = (0..).zip(weights.iter().map(|weight| u64::from(*weight).max(1))).collect();
        let mut order = Vec::with_capacity(left.len());
        while !left.is_empty() {
            let total: u64 = left.iter().map(|(_, weight)| weight).sum();
            let mut drawn = (u64::from(lots.draw()) * total) >> 32;
            let place = left.iter().position(|(_, weight)| {
                let is_it = drawn < *weight;
                drawn = drawn.saturating_sub(*weight);
                is_it
            });
            order.push(left.remove(place.unwrap_or(0)).0);
        }
        Order::Drawn(order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_proportions_and_every_queue_is_named() {
        let queues = Queues::new(Some(vec![6, 3, 1]));
        let mut lots = Lots::new(7);
        let mut first = [0u32; 3];
        for _ in 0..10_000 {
            let Order::Drawn(order) = queues.order(&mut lots) else { panic!("drawn") };
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2]);
            first[usize::from(order[0])] += 1;
        }
        let near = |count: u32, wanted: u32| count.abs_diff(wanted) < 300;
        assert!(near(first[0], 6000) && near(first[1], 3000) && near(first[2], 1000), "{first:?}");
        assert_eq!(Queues::new(None).order(&mut lots), Order::AsGiven);
    }
}
