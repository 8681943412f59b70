//! Faults that can be planted into a handover, to show that the simulator would find them; as those of the fleet.

use crate::fault::faults;

faults! {
    /// A mistake that a handover can make.
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

#[cfg(feature = "planted-faults")]
impl super::Handover {
    /// Plants a fault, for the simulator to find.
    pub fn plant(&mut self, fault: Fault) {
        self.faults.plant(fault);
    }
}
