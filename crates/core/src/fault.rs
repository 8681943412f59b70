//! Faults that can be planted into a machine, to show that its simulator would find them.
//!
//! Without the feature `planted-faults` the question whether a fault is planted is the constant `false`, so a product
//! holds no trace of them.

/// The mistakes of a machine, each with what it is.
macro_rules! faults {
    ($(#[$about:meta])+ $($variant:ident: $text:literal),+ $(,)?) => {
        $(#[$about])+
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

pub(crate) use faults;

/// The faults planted into one machine.
#[cfg(feature = "planted-faults")]
#[derive(Debug)]
pub(crate) struct Faults<F>(std::collections::BTreeSet<F>);

#[cfg(feature = "planted-faults")]
impl<F: Ord> Faults<F> {
    pub(crate) fn plant(&mut self, fault: F) {
        self.0.insert(fault);
    }

    pub(crate) fn has(&self, fault: F) -> bool {
        self.0.contains(&fault)
    }
}

#[cfg(feature = "planted-faults")]
impl<F> Default for Faults<F> {
    fn default() -> Self {
        Self(std::collections::BTreeSet::new())
    }
}

/// No fault can be planted.
#[cfg(not(feature = "planted-faults"))]
#[derive(Debug)]
pub(crate) struct Faults<F>(std::marker::PhantomData<F>);

#[cfg(not(feature = "planted-faults"))]
impl<F: Copy> Faults<F> {
    #[inline]
    pub(crate) const fn has(&self, _: F) -> bool {
        false
    }
}

#[cfg(not(feature = "planted-faults"))]
impl<F> Default for Faults<F> {
    fn default() -> Self {
        Self(std::marker::PhantomData)
    }
}
