//! Faults that can be planted into a handover, to show that the simulator would find them; as those of the fleet.

macro_rules! faults {
    ($($variant:ident: $text:literal),+ $(,)?) => {
        /// A mistake that a handover can make.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[cfg_attr(not(feature = "planted-faults"), allow(dead_code, unreachable_pub))]
        pub enum Fault {
            $(#[doc = $text] $variant),+
        }

        impl Fault {
            /// Every fault.
            #[cfg(feature = "planted-faults")]
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
        }
    };
}

faults! {
    CommitUnapplied: "The duty changes hands before the successor has everything.",
    HandOnUnfrozen: "What the manager left is handed on before it left it.",
    FrozenForgotten: "A manager whose successor failed is not told to go on.",
    SuccessorForgotten: "A successor that is late is left running.",
    SuccessorOutlives: "A successor lives on when the manager ends.",
    TwoAtOnce: "A second successor is started beside the first.",
    NoPatience: "A successor may take as long as it likes.",
    NoLeavingTime: "A manager may take as long as it likes to leave.",
    KilledIsGuilty: "A manager that somebody killed is replaced by the one before.",
    NeverSettles: "The one before can be had again for ever.",
    ReturnForgotten: "A new manager that ends by itself is started again.",
    StopIgnored: "A stop waits for a handover.",
    ReadyAgain: "A second sign of readiness counts for the taking over.",
}

/// The faults planted into one handover.
#[derive(Debug, Default)]
pub(super) struct Faults(#[cfg(feature = "planted-faults")] std::collections::BTreeSet<Fault>);

impl Faults {
    #[cfg(feature = "planted-faults")]
    pub(super) fn has(&self, fault: Fault) -> bool {
        self.0.contains(&fault)
    }

    #[cfg(not(feature = "planted-faults"))]
    pub(super) const fn has(&self, _: Fault) -> bool {
        false
    }
}

#[cfg(feature = "planted-faults")]
impl super::Handover {
    /// Plants a fault, for the simulator to find.
    pub fn plant(&mut self, fault: Fault) {
        self.faults.0.insert(fault);
    }
}
