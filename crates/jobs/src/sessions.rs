//! All connections, by a number that none gets twice.

use crate::connection::Connection;

/// A connection's number: its place, and how many had that place before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SessionId(pub(crate) u64);

/// All connections.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    places: Vec<(u32, Option<Box<Connection>>)>,
    free: Vec<u32>,
    count: u32,
}

impl Sessions {
    /// Takes a connection in.
    pub(crate) fn insert(&mut self, connection: Connection) -> SessionId {
        self.count += 1;
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.places.push((0, None));
                u32::try_from(self.places.len() - 1).unwrap_or(u32::MAX)
            }
        };
        let place = &mut self.places[index as usize];
        place.1 = Some(Box::new(connection));
        SessionId(u64::from(place.0) << 32 | u64::from(index))
    }

    /// The connection of this number, if it is still there.
    pub(crate) fn get_mut(&mut self, id: SessionId) -> Option<&mut Connection> {
        let (generation, connection) = self.places.get_mut((id.0 & 0xffff_ffff) as usize)?;
        if u64::from(*generation) == id.0 >> 32 { connection.as_deref_mut() } else { None }
    }

    /// Takes it out. Its number is not given again before its place had four billion others.
    pub(crate) fn remove(&mut self, id: SessionId) -> Option<Box<Connection>> {
        self.get_mut(id)?;
        let index = (id.0 & 0xffff_ffff) as u32;
        let place = &mut self.places[index as usize];
        // The highest bit tells connections from other descriptors.
        place.0 = (place.0 + 1) & 0x7fff_ffff;
        self.free.push(index);
        self.count -= 1;
        place.1.take()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// The numbers of all.
    pub(crate) fn ids(&self) -> Vec<SessionId> {
        let here = self.places.iter().enumerate().filter(|(_, (_, connection))| connection.is_some());
        here.map(|(index, (generation, _))| SessionId(u64::from(*generation) << 32 | index as u64)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::connection::Standing;

    #[test]
    fn a_number_is_that_of_one_connection() {
        let mut sessions = Sessions::default();
        let mut connect = || {
            let (ours, _) = UnixStream::pair().expect("pair");
            sessions.insert(Connection::new(ours.into(), true, Standing::Producer))
        };
        let (first, second) = (connect(), connect());
        assert!(sessions.remove(first).is_some() && sessions.remove(first).is_none());
        let (ours, _) = UnixStream::pair().expect("pair");
        let third = sessions.insert(Connection::new(ours.into(), true, Standing::Producer));
        assert_ne!(first, third);
        assert!(sessions.get_mut(first).is_none() && sessions.get_mut(third).is_some());
        assert_eq!((sessions.count(), sessions.ids()), (2, vec![third, second]));
    }
}
